"""Arrays in npz files, whole and broken."""

import io
import os
import re
import stat
import tracemalloc
import zipfile

import numpy as np
import pytest

from vae_jax.data import npz, streams

ARRAYS = {"x": np.arange(1000, dtype=np.uint8).reshape(10, 100), "y": np.arange(3)}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_numpy_s_own_files_are_read(tmp_path, save):
    save(tmp_path / "file.npz", unused=np.zeros(3), z=ARRAYS["x"].T, **ARRAYS)
    found = npz.read(tmp_path / "file.npz", ("x", "y", "z"))
    assert list(found) == ["x", "y", "z"]
    np.testing.assert_equal(found, {**ARRAYS, "z": ARRAYS["x"].T})


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("array", [ARRAYS["x"], ARRAYS["x"][:0], np.float32(3)])
def test_every_version_of_numpy_s_format_is_read(tmp_path, version, array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), version)
    (tmp_path / "file.npz").write_bytes(with_member(stream.getvalue()))
    np.testing.assert_equal(npz.read(tmp_path / "file.npz", ("x",)), {"x": array})


def test_arrays_are_read_only_and_larger_than_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "CHUNK", 7)
    npz.write(tmp_path / "file.npz", ARRAYS)
    found = npz.read(tmp_path / "file.npz", ("x", "y"))
    np.testing.assert_equal(found, ARRAYS)
    assert not any(array.flags.writeable for array in found.values())


def test_names_are_those_of_the_arrays_in_their_order(tmp_path):
    path = tmp_path / "file.npz"
    npz.write(path, {"z": np.zeros(3), "a b": np.zeros(3)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "no array")
    assert npz.names(path) == ("z", "a b")


def test_names_of_what_is_no_npz_file_are_refused(tmp_path):
    (tmp_path / "file.npz").write_bytes(whole()[:-30])
    for name in ("file.npz", "absent.npz"):
        with pytest.raises(ValueError, match=f"{name}: must be a whole npz file, got"):
            npz.names(tmp_path / name)


def test_write_makes_the_folder_and_leaves_only_the_file(tmp_path):
    path = tmp_path / "deep" / "er" / "file.npz"
    npz.write(path, ARRAYS)
    npz.write(path, ARRAYS)
    assert list(path.parent.iterdir()) == [path]
    np.testing.assert_equal(npz.read(path, ("x", "y")), ARRAYS)


def test_others_may_read_what_is_written_if_they_may_read_files(tmp_path):
    before = os.umask(0o022)
    try:
        npz.write(tmp_path / "a.npz", {"x": np.zeros(2)})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.npz").stat().st_mode) == 0o644


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file.npz"
    npz.write(path, ARRAYS)

    def savez(file, **arrays):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(OSError, match="no space left"):
        npz.write(path, {"x": np.zeros(3)})
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_equal(npz.read(path, ("x", "y")), ARRAYS)


def whole():
    stream = io.BytesIO()
    np.savez(stream, **ARRAYS)
    return stream.getvalue()


def with_member(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", content)
    return stream.getvalue()


def npy(array, **changes):
    stream = io.BytesIO()
    header = {**np.lib.format.header_data_from_array_1_0(array), **changes}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + array.tobytes()


def objects(dtype):
    """An array that numpy would have to unpickle."""
    stream = io.BytesIO()
    np.save(stream, np.zeros(2, dtype))
    return stream.getvalue()


FLIPPED = bytearray(whole())
FLIPPED[500] ^= 1
ZIPPED = io.BytesIO()
np.savez_compressed(ZIPPED, **ARRAYS)
MANGLED = bytearray(ZIPPED.getvalue())
MANGLED[60:80] = b"\xff" * 20  # no such deflate block


def from_the_future():
    """An archive whose directory asks for version 99 of the zip format."""
    content = bytearray(whole())
    content[content.index(b"PK\x01\x02") + 6] = 99
    return bytes(content)


def with_less_than_promised():
    """A zipped array without its last bytes, whose size in the directory is whole."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy(ARRAYS["x"])[:-10])
        archive.getinfo("x.npy").file_size += 10
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be a whole npz file, got File is not a zip file"),
        (whole()[:-30], "must be a whole npz file, got File is not a zip file"),
        (bytes(FLIPPED), "must be a whole npz file, got Bad CRC-32"),
        (bytes(MANGLED), "must be a whole npz file, got Error -3 while decompressing"),
        (with_member(b""), "must hold the plain arrays x, got "),
        (
            with_member(objects(object)),
            "must hold the plain arrays x, got Python objects in x.npy",
        ),
        (
            with_member(objects("i4, O")),
            "must hold the plain arrays x, got Python objects in x.npy",
        ),
        (with_member(npy(ARRAYS["x"], shape=(10, 99))), "cannot reshape"),
        (with_member(npy(ARRAYS["x"], shape=(1 << 40,))), "cannot reshape"),
        (from_the_future(), "must be a whole npz file, got zip file version 9.9"),
        (with_member(npy(ARRAYS["x"]).replace(b"}", b"{")), "plain arrays x, got "),
        (with_less_than_promised(), "cannot reshape array of size 990"),
        (with_member(b"\x93NUMPY\x09\x00"), "got format (9, 0) in x.npy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "file.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        npz.read(path, ("x",))
    assert str(caught.value).startswith(f"{path}: must ")
    assert path.read_bytes() == content


def test_a_key_that_is_absent_is_named(tmp_path):
    npz.write(tmp_path / "file.npz", ARRAYS)
    with pytest.raises(ValueError, match=r"arrays x, z, got .*z\.npy"):
        npz.read(tmp_path / "file.npz", ("x", "z"))


def test_a_member_too_large_is_refused_before_it_is_read(tmp_path):
    np.savez_compressed(tmp_path / "file.npz", x=np.zeros(10_000_000, np.uint8))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"10000128 bytes in x\.npy, more than 100000"):
        npz.read(tmp_path / "file.npz", ("x",), max_bytes=1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    found = npz.read(tmp_path / "file.npz", ("x",), max_bytes=None)
    assert found["x"].shape == (10_000_000,)


def test_an_array_is_held_once_while_it_is_read(tmp_path):
    npz.write(tmp_path / "file.npz", {"x": np.zeros(50_000_000, np.uint8)})
    tracemalloc.start()
    npz.read(tmp_path / "file.npz", ("x",), max_bytes=None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60_000_000
