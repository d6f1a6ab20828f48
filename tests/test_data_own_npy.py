"""The user's own images in npy files, behind the one door."""

import os
import re
import resource

import numpy as np
import pytest
from conftest import anything

from vae_jax import data, machine
from vae_jax.data import own_npy

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (20, 6, 5), dtype=np.uint8)
LABELS = np.arange(20)


def write(folder, **arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name.replace('__', '-')}.npy", array)
    return str(folder)


def load(path, **changes):
    sizes = {"valid_size": -1, "test_size": -1, "binarize": "none", "limit": 0}
    return data.load("npy", anything(path=path), **{**sizes, **changes})


def test_one_file_is_held_out_and_cut_as_an_array_is(tmp_path):
    path = f"{write(tmp_path, own=BYTES)}/own.npy"
    np.savez(tmp_path / "own.npz", images=BYTES)
    wanted = anything(path=str(tmp_path / "own.npz"))
    sizes = {"valid_size": 3, "test_size": 4, "binarize": "none", "limit": 10}
    found, same = load(path, **sizes), data.load("npz", wanted, **sizes)
    assert found.source == f"npy {path}"
    for ours, theirs in zip(found[2:5], same[2:5], strict=True):
        assert isinstance(ours.images, data.Mapped)
        np.testing.assert_array_equal(ours.images[:], theirs.images)


def test_parts_and_labels_are_found_by_their_names(tmp_path, caplog):
    path = write(
        tmp_path,
        train__1__of__2=BYTES[5:9],
        train__0__of__2=BYTES[:5],
        train_labels=LABELS[:9],
        test=BYTES[9:],
        other=BYTES,
    )
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".train.npy").write_text("not mine")
    raw = own_npy.load(path)
    assert raw.source == f"npy files in {path}"
    np.testing.assert_array_equal(raw.train.images[:][..., 0], BYTES[:9])
    np.testing.assert_array_equal(raw.train.labels, LABELS[:9])
    assert raw.train.labels.dtype == np.int32
    np.testing.assert_array_equal(raw.test.images[:][..., 0], BYTES[9:])
    assert raw.test.labels is raw.valid is None
    assert caplog.messages == [f"npy: left out of {path}: 'other'"]
    (tmp_path / "test.npy").rename(tmp_path / "test.NPY")
    assert len(own_npy.load(path).test.images) == len(BYTES[9:])


def test_labels_follow_their_images_wherever_they_go(tmp_path):
    found = load(write(tmp_path, any=BYTES, any_labels=LABELS))
    assert [len(s.images) for s in (found.train, found.valid, found.test)] == [17, 1, 2]
    for split in (found.train, found.valid, found.test):
        np.testing.assert_array_equal(split.images[:][..., 0], BYTES[split.labels])


def test_colour_stays_colour_and_more_numbers_than_nine_are_in_order(tmp_path):
    colour = RNG.integers(0, 256, (12, 2, 2, 3), dtype=np.uint8)
    shards = {f"a__{i}__of__12": colour[i : i + 1] for i in range(12)}
    raw = own_npy.load(write(tmp_path, **shards))
    np.testing.assert_array_equal(raw.train.images[:], colour)


ONE_SET = (
    "must hold train.npy, perhaps with valid.npy and test.npy, or one set of another "
    "name, whose files may be NAME-00000-of-00010.npy and so on; got "
)


@pytest.mark.parametrize(
    ("arrays", "kind", "message"),
    [
        ({}, ValueError, f"{ONE_SET}no npy file"),
        ({"a": BYTES, "b": BYTES}, ValueError, f"{ONE_SET}a, b"),
        ({"a_labels": LABELS}, ValueError, f"{ONE_SET}no npy file"),
        ({"test": BYTES}, ValueError, f"{ONE_SET}test"),
        ({"valid": BYTES, "valid_labels": LABELS}, ValueError, f"{ONE_SET}valid"),
        ({"valid": BYTES, "test": BYTES}, ValueError, f"{ONE_SET}test, valid"),
        (
            {"a__0__of__3": BYTES, "a__2__of__3": BYTES},
            ValueError,
            "must hold files 0 to 2 of a-0-of-3.npy's set, each once, got 0, 2",
        ),
        (
            {"a__0__of__2": BYTES, "a__00__of__02": BYTES, "a__1__of__2": BYTES},
            ValueError,
            "must hold files 0 to 1 of a-0-of-2.npy's set, each once, got 0, 0, 1",
        ),
        (
            {"a__0__of__2": BYTES, "a__1__of__3": BYTES},
            ValueError,
            "the files of a set must be of one number of files, got a-0-of-2.npy and "
            "a-1-of-3.npy",
        ),
        (
            {"a__0__of__2": BYTES, "a__1__of__2": BYTES[:, :5]},
            ValueError,
            "must hold images of the shape that a-0-of-2.npy has, (6, 5, 1), "
            "got (5, 5, 1)",
        ),
        (
            {"a__0__of__2": BYTES, "a__1__of__2": BYTES.astype(np.int16)},
            TypeError,
            "images must be uint8, got int16; floats can be in an npz file, if they "
            "fit into memory",
        ),
        (
            {"a": (BYTES / 255).astype(np.float32)},
            TypeError,
            "images must be uint8, got float32; floats can be in an npz file, if they "
            "fit into memory",
        ),
        (
            {"a": BYTES[0]},
            ValueError,
            "images must be [N, H, W] or [N, H, W, C] and not empty, got shape (6, 5)",
        ),
        (
            {"a": BYTES[..., None] + np.zeros(2, np.uint8)},
            ValueError,
            "images must have 1 or 3 channels, on the last axis, got shape "
            "(20, 6, 5, 2)",
        ),
        (
            {"a": np.asfortranarray(BYTES)},
            ValueError,
            "must be a whole npy file, got an array in Fortran's order",
        ),
        (
            {"a": np.array([{"an": "object"}])},
            ValueError,
            "must be a whole npy file, got Python objects in it",
        ),
        (
            {"a": BYTES, "a_labels": LABELS[:3]},
            ValueError,
            "must be one for each of 20 images, got shape (3,)",
        ),
        (
            {"a": BYTES, "a_labels": LABELS / 2},
            TypeError,
            "must be whole numbers, got float64",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, arrays, kind, message):
    path = write(tmp_path, **arrays)
    with pytest.raises(kind, match=re.escape(message)) as caught:
        load(path)
    assert str(tmp_path) in str(caught.value) or "channels" in message


@pytest.mark.parametrize("cut", [-1, 1])
def test_a_file_with_more_or_fewer_bytes_than_it_says_is_refused(tmp_path, cut):
    path = tmp_path / "a.npy"
    np.save(path, BYTES)
    size = path.stat().st_size  # a header of 128 bytes, and 20 * 6 * 5
    os.truncate(path, size + cut)
    with pytest.raises(ValueError, match="must be a whole npy file") as caught:
        load(str(path))
    assert str(caught.value) == (
        f"{path}: must be a whole npy file, got {728 + cut} bytes where its header "
        "says 728"
    )


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00\xff\xff{"])
def test_what_is_no_npy_file_is_refused(tmp_path, content):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="must be a whole npy file, got"):
        load(str(path))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="got something that is no file"):
        load(str(tmp_path))


@pytest.mark.parametrize("path", [None, "", "not/there"])
def test_a_path_that_is_not_there_is_named(path):
    with pytest.raises(FileNotFoundError) as caught:
        load(path)
    assert str(caught.value) == (
        "data.path: must name an npy file or a folder of them for data.name=npy, "
        f"got {path or ''!r}"
    )


@pytest.mark.parametrize("binarize", ["threshold", "static", "dynamic"])
def test_images_in_files_are_not_made_black_and_white(tmp_path, binarize):
    with pytest.raises(ValueError, match="must be none for data") as caught:
        load(write(tmp_path, a=BYTES), binarize=binarize)
    assert str(caught.value) == (
        f"data.binarize: must be none for data.name=npy, got {binarize!r}; store the "
        "images as 0 and 255, or use an npz file if they fit into memory"
    )


@pytest.fixture
def few_files():
    """Twenty files may be opened beside those that are open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(number) for number in os.listdir("/dev/fd")}
    free = [number for number in range(len(taken) + 21) if number not in taken]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[20], limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


MANY = {f"a__{i}__of__60": BYTES[:1] for i in range(60)}


def test_a_set_may_have_more_files_than_a_process_may_usually_open(tmp_path, few_files):
    assert len(own_npy.load(write(tmp_path, **MANY)).train.images) == 60


def test_files_are_not_to_blame_if_too_many_are_open(tmp_path, few_files, monkeypatch):
    monkeypatch.setattr(machine, "open_more_files", lambda num: None)
    path = write(tmp_path, **MANY)
    with pytest.raises(OSError, match="Too many open files"):
        own_npy.load(path)


def test_a_set_that_is_still_being_written_is_refused(tmp_path):
    path = write(tmp_path, train=BYTES)
    (tmp_path / own_npy.UNFINISHED).mkdir()
    with pytest.raises(
        ValueError, match=r"must be a whole set, got one with \.unfinished"
    ):
        own_npy.load(path)
