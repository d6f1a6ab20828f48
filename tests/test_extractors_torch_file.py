"""Files by ``torch.save``: torch's own, and many that are not what they should be."""

import pathlib
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest
import torch_files
from torch_files import Part, as_sequence, as_zip

from vae_jax.extractors import torch_file

OWN = {
    form: pathlib.Path(__file__).parent / f"torch_{form}.pth"
    for form in ("zip", "sequence")
}
# What the program in torch_files.py puts into them.
BASE = np.arange(12, dtype=np.float32).reshape(3, 4)
EXPECTED = {
    "weight": np.array([[0.5, -2.0]]),
    "bias": np.array([3.25]),
    "whole": BASE,
    "turned": BASE.T,
    "part": np.array([[4, 6], [8, 10]], np.float32),
    "one": np.float32(11),
    "parameter": np.array([1.5], np.float32),
    "half": np.array([1.0, -0.5], np.float16),
    "count": np.int64(7),
    "flags": np.array([True, False]),
    "bytes": np.array([0, 255], np.uint8),
    "none": np.empty((0, 3), np.float32),
}
PARTS = {
    "a": Part("0", np.arange(6, dtype=np.float32).reshape(2, 3)),
    "b": Part("1", np.array([5, -1])),
}
FORMS = {"zip": as_zip, "sequence": as_sequence}
each_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture
def read(tmp_path):
    """Reads these bytes from a file."""

    def call(content):
        path = tmp_path / "file.pth"
        path.write_bytes(content)
        return torch_file.read(path)

    return call


@pytest.fixture
def refused(read, tmp_path):
    """Asserts that these bytes are refused with these words."""

    def call(content, words):
        start = re.escape(f"{tmp_path / 'file.pth'}: must hold a dict of tensors, got ")
        with pytest.raises(ValueError, match=f"^{start}.*{re.escape(words)}"):
            read(content)

    return call


@each_form
def test_torch_s_own_files_are_read_to_the_bit(form):
    found = torch_file.read(OWN[form])
    assert list(found) == list(EXPECTED)
    for name, expected in EXPECTED.items():
        assert found[name].dtype == expected.dtype
        assert found[name].shape == expected.shape
        np.testing.assert_array_equal(found[name], expected)


@each_form
def test_tensors_are_read_only_views_of_what_the_file_holds_once(form):
    found = torch_file.read(OWN[form])
    assert np.shares_memory(found["whole"], found["turned"])
    assert not found["turned"].flags.c_contiguous
    assert not any(a.flags.writeable for a in found.values() if a.size)


@each_form
def test_files_made_without_torch_are_read(read, form):
    found = read(FORMS[form](PARTS))
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], PARTS["a"].numbers)
    np.testing.assert_array_equal(found["b"], PARTS["b"].numbers)


def test_a_state_dict_of_python_2_is_read(read):
    # Strings had no encoding, and an OrderedDict was a call with a list of its pairs.
    storage = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x06NtQ"
    hooks = b"ccollections\nOrderedDict\n]\x85R"
    view = b"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + hooks + b"tR"
    content = b"\x80\x02ccollections\nOrderedDict\n]](U\x01a" + tensor + b"ea\x85R."
    found = read(as_sequence({"a": PARTS["a"]}, content))
    assert list(found) == ["a"]
    np.testing.assert_array_equal(found["a"], PARTS["a"].numbers)


@each_form
@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_pickle_that_would_run_a_command_is_refused_and_runs_nothing(
    refused, tmp_path, form, protocol
):
    marker = tmp_path / "marker"

    class Command:
        def __reduce__(self):
            import os

            return os.system, (f"touch {marker}",)

    content = pickle.dumps({"a": Command()}, protocol)
    words = {0: "the pickle operation", 1: "posix.system", 2: "posix.system"}
    refused(FORMS[form](PARTS, content), words.get(protocol, "operation FRAME"))
    assert not marker.exists()
    pickle.loads(content)  # the test's own pickle is no dud
    assert marker.exists()


@each_form
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x80\x02c__builtin__\neval\nU\x011\x85R.", "__builtin__.eval"),
        (b"\x80\x02ctorch\nload\nU\x01x\x85R.", "torch.load"),
        (b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n.", "_rebuild_sparse_tensor"),
        (b"\x80\x02ctorch\nBFloat16Storage\n.", "torch.BFloat16Storage"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "operation NEWOBJ"),
        (b"(icollections\nOrderedDict\n.", "the pickle operation INST"),
        (b"\x80\x02\x82\x01.", "the pickle operation EXT1"),
        (b"\x80\x02Nr\xff\xff\xff\xff.", "a memo of 4294967295 entries"),
        (b"\x80\x02X\xff\xff\xff\x7fab.", "expected 2147483647 bytes"),
        (b"\x80\x02R.", "a damaged pickle"),
        (b"\x80\x02}]Ns.", "a dict with a key of type list"),
        (b"\x80\x02]NNs.", "a damaged pickle: items of what is no dict"),
        # In C, the hash of the first ends the process, that of the second takes years.
        (b"\x80\x02})" + b"\x85" * 200_000 + b"Ns.", "a key of type tuple"),
        (b"\x80\x02})" + b"q\0h\0\x86" * 60 + b"Ns.", "a key of type tuple"),
        (
            b"\x80\x02ccollections\nOrderedDict\n])q\0h\0\x86q\0N\x86a\x85R.",
            "a key of type tuple",
        ),
        (b"\x80\x02N.", "a pickle of NoneType"),
        (b"\x80\x02}U\x01aK\x01s.", "int under 'a'"),
        (b"\x80\x02}K\x01K\x01s.", "a dict with a key of type int"),
        (b"\x80\x02U\x01aQ.", "a reference to something that is no storage"),
        (
            b"\x80\x02(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuJ\xff\xff\xff\xfftQ.",
            "a reference to something that is no storage",
        ),
        (
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
            "a tensor that is not made of a storage",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pickle_of_anything_but_tensors_is_refused(refused, form, content, words):
    refused(FORMS[form](PARTS, content), words)


@pytest.mark.parametrize("name", ["items", "values"])
def test_a_dict_that_would_have_other_methods_has_its_own(read, name):
    state = b"N}U" + bytes([len(name)]) + name.encode() + b"Ns\x86"
    content = b"\x80\x02ccollections\nOrderedDict\n)R" + state + b"b."
    assert read(as_zip(PARTS, content)) == {}


def test_versions_and_keys_whose_text_would_take_years_are_refused(refused):
    puzzle = b"\x80\x02]" + b")" + b"q\0h\0\x86" * 60 + b"a."
    refused(pickle.dumps(torch_files.MAGIC, 2) + puzzle, "version list, not 1001")
    whole = as_sequence(PARTS)
    keys = whole.index(pickle.dumps(["0", "1"], 2))
    refused(whole[:keys] + puzzle, "other storages than those of its tensors")


@pytest.mark.parametrize(
    "state", [b"}U\x08functionNs", b"N}U\x08functionNs\x86"], ids=["dict", "slots"]
)
def test_a_pickle_cannot_change_what_its_names_mean(refused, read, state):
    for name in b"torch._utils\n_rebuild_tensor_v2", b"torch\nFloatStorage":
        content = b"\x80\x02c" + name + b"\n" + state + b"b."
        refused(as_zip(PARTS, content), "a damaged pickle: ")
    content = b"\x80\x02ccollections\nOrderedDict\nN}U\x05itemsNs\x86b."
    refused(as_zip(PARTS, content), "a damaged pickle: ")
    np.testing.assert_array_equal(read(as_zip(PARTS))["a"], PARTS["a"].numbers)


NUMBERS = np.arange(6, dtype=np.float32)


@each_form
@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"shape": (7,)}, "a tensor of 7 numbers, the last at 6, in a storage of 6"),
        ({"offset": 1}, "a tensor of 6 numbers, the last at 6, in a storage of 6"),
        ({"shape": (2, 3), "strides": (4, 1)}, "the last at 6, in a storage of 6"),
        ({"shape": (1 << 40,), "strides": (0,)}, "a tensor of 1099511627776 numbers"),
        ({"shape": (2, 3)}, "a tensor of 2 sizes and 1 strides"),
        ({"shape": (1,) * 33, "strides": (1,) * 33}, "of 33 sizes and 33 strides"),
        ({"shape": (-6,)}, "a tensor that is not made of a storage and its numbers"),
        ({"strides": (-1,)}, "a tensor that is not made of a storage and its numbers"),
        ({"shape": (True,)}, "a tensor that is not made of a storage and its numbers"),
        ({"offset": -1}, "a tensor that is not made of a storage and its numbers"),
        (
            {"shape": (1 << 80, 0), "strides": (1, 1)},
            "Maximum allowed dimension exceeded",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_tensor_that_is_not_inside_its_storage_is_refused(refused, form, lie, words):
    refused(FORMS[form]({"a": Part("0", NUMBERS, **lie)}), words)


def test_the_stride_of_a_single_row_may_be_anything(read):
    part = Part("0", NUMBERS, shape=(1, 6), strides=(1 << 80, 1))
    np.testing.assert_array_equal(read(as_zip({"a": part}))["a"], NUMBERS[None])


def test_an_empty_tensor_may_be_anywhere(read):
    part = Part("0", NUMBERS, offset=1 << 80, shape=(3, 0), strides=(1 << 80, 1))
    assert read(as_zip({"a": part}))["a"].shape == (3, 0)


@each_form
@pytest.mark.parametrize("count", [7, 1 << 20, 1 << 60, (1 << 63) - 1])
def test_a_storage_that_promises_more_than_there_is_is_refused(refused, form, count):
    parts = {"a": Part("0", NUMBERS, count=count)}
    words = f"24 bytes in storage 0, not {4 * count}"
    if form == "sequence":
        refused(as_sequence(parts), f"6 numbers in storage 0, not {count}")
        refused(as_sequence(parts, counts={"0": count}), words)
    else:
        refused(as_zip(parts), words)


def test_an_archive_that_lies_of_a_size_is_refused(refused):
    parts = {"a": Part("0", NUMBERS, count=1 << 28)}
    content = bytearray(as_zip(parts))
    # 0xffff0000 bytes, compressed and not, in the directory's entry of the numbers.
    entry = content.rindex(b"PK\x01\x02", 0, content.rindex(b"x/data/0"))
    content[entry + 20 : entry + 28] = struct.pack("<II", 0xFFFF0000, 0xFFFF0000)
    refused(bytes(content), "4294901760 bytes in x/data/0, more than")


@each_form
def test_two_tensors_that_differ_over_their_storage_are_refused(refused, form):
    parts = {"a": Part("0", NUMBERS), "b": Part("0", NUMBERS, shape=(1,), count=7)}
    refused(FORMS[form](parts), "storage 0 in two sizes or types")


@each_form
def test_a_file_cut_off_anywhere_is_refused(read, form):
    whole = OWN[form].read_bytes()
    for end in range(0, len(whole) - 1, 7):
        with pytest.raises(ValueError, match=r"file\.pth: must hold a dict of tensors"):
            read(whole[:end])


def test_numbers_that_were_changed_in_an_archive_are_noticed(refused):
    content = bytearray(as_zip(PARTS))
    content[content.index(PARTS["a"].numbers.tobytes())] ^= 1
    refused(bytes(content), "Bad CRC-32")


MEMBERS = {
    "a zip archive without x/data/1": {"x/data/1": None},
    "a zip archive with 0 data.pkl": {"x/data.pkl": None},
    "a zip archive with 2 data.pkl": {"y/data.pkl": b""},
    "the byte order b'big', not little": {"x/byteorder": b"big"},
    "pickle exhausted before seeing STOP": {"x/data.pkl": b"\x80\x02N"},
    "25 bytes in x/data/0, more than 24": {"x/data/0": bytes(25)},
    "23 bytes in storage 0, not 24": {"x/data/0": bytes(23)},
}


@pytest.mark.parametrize(("words", "members"), MEMBERS.items())
def test_an_archive_of_other_members_is_refused(refused, words, members):
    refused(as_zip(PARTS, members=members), words)


def test_an_archive_that_torch_would_not_write_is_refused(refused):
    refused(as_zip(PARTS, compression=zipfile.ZIP_DEFLATED), "x/byteorder compressed")
    locked = bytearray(as_zip(PARTS))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    locked[6] |= 1
    refused(bytes(locked), "password required")


SEQUENCES = {
    "a pickle that is not torch's": {"magic": 7},
    "version 1000, not 1001": {"version": 1000},
    "not little-endian": {"machine": torch_files.MACHINE | {"little_endian": False}},
    "of a machine that": {"machine": None},
    "other storages than those of its tensors": {"keys": ["0"]},
    "other storages": {"keys": ["0", 1]},
    "5 numbers in storage 0, not 6": {"counts": {"0": 5}},
    "-1 numbers in storage 0, not 6": {"counts": {"0": -1}},
}


@pytest.mark.parametrize(("words", "changes"), SEQUENCES.items())
def test_a_sequence_of_something_else_is_refused(refused, words, changes):
    refused(as_sequence(PARTS, **changes), words)


def test_bytes_after_the_last_storage_are_refused(refused):
    refused(as_sequence(PARTS) + b"more", "4 bytes too many")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.pth: must hold .*No such file"):
        torch_file.read(tmp_path / "absent.pth")
