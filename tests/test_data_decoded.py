"""Arrays made once, and the fingerprint that says when to make them again."""

import logging
import os
import time

import numpy as np
import pytest

from vae_jax.data import cache, decoded, npz

ARRAYS = {"images": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "y": np.ones(2)}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def once():
    """``decoded.once``, which counts how often it had to decode."""

    def call(mark="mark", arrays=ARRAYS):
        def decode():
            call.count += 1
            return arrays

        return decoded.once("kind", mark, decode, {"images": 2})

    call.count = 0
    return call


def file():
    return cache.path("kind/mark.npz")


def test_arrays_are_decoded_once_and_then_read(once):
    for _ in range(3):
        np.testing.assert_equal(once(), ARRAYS)
    assert once.count == 1
    assert list(file().parent.iterdir()) == [file()]


def test_another_fingerprint_is_decoded_on_its_own(once):
    once()
    other = {"images": np.zeros(3)}
    np.testing.assert_equal(once("other", other), other)
    np.testing.assert_equal(once(), ARRAYS)
    assert once.count == 2


def test_of_one_place_only_what_is_newest_is_kept(once):
    for mark in ("here_1", "there_1", "here_2"):
        once(mark)
    names = {path.name for path in cache.path("kind").iterdir()}
    assert names == {"here_2.npz", "there_1.npz"}


def test_what_a_killed_process_left_in_the_cache_is_removed_after_a_day(once):
    once("a_1")
    left = [cache.path(f"kind/.b.npz.{number}") for number in (1, 2)]
    for path, age in zip(left, (2 * cache.DAY, 0), strict=True):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    once("c_1")
    assert [path.exists() for path in left] == [False, True]


def test_arrays_may_be_larger_than_what_is_taken_from_others(once, monkeypatch):
    read = npz.read
    monkeypatch.setattr(npz, "read", lambda *args, max_bytes=1: read(*args, max_bytes))
    once()
    once()
    assert once.count == 1


def truncate(path):
    path.write_bytes(path.read_bytes()[:-30])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[content.index(ARRAYS["images"].tobytes())] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty])
def test_a_damaged_file_is_said_and_replaced(once, caplog, damage):
    once()
    damage(file())
    np.testing.assert_equal(once(), ARRAYS)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    start = f"kind: cache: damaged, to be replaced: {file()}: must be a whole npz file"
    assert warnings[0].startswith(start)
    once()
    assert once.count == 2


@pytest.mark.parametrize(
    "other",
    [{"faces": ARRAYS["images"]}, {"images": np.zeros((3, 3, 4))}, {"images": 2}],
)
def test_a_file_of_other_arrays_is_said_and_replaced(once, caplog, other):
    npz.write(file(), {name: np.array(array) for name, array in other.items()})
    with caplog.at_level(logging.INFO, "vae_jax"):
        np.testing.assert_equal(once(), ARRAYS)
    assert "damaged, to be replaced: " in caplog.text
    assert "must hold 2 images, got " in caplog.text
    np.testing.assert_equal(once(), ARRAYS)
    assert once.count == 1


def test_an_unwritable_cache_is_a_warning(once, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where the folder should be")
    np.testing.assert_equal(once(), ARRAYS)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("kind: not cached: ")


def test_a_failure_to_decode_leaves_no_file():
    def decode():
        raise ValueError("a broken image")

    with pytest.raises(ValueError, match="a broken image"):
        decoded.once("kind", "mark", decode, {})
    assert not file().exists()


def test_what_was_found_and_made_is_said(once, caplog):
    with caplog.at_level(logging.INFO, "vae_jax"):
        once()
        once()
    assert caplog.messages == [
        f"kind: cached in {file()}",
        f"kind: read from the cache, {file()}",
    ]


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_bytes(b"12345")
        os.utime(path, ns=(10**18, 10**18))
    return paths


def test_the_same_files_and_options_have_the_same_fingerprint(files, monkeypatch):
    place = str(files[0].parent)
    first = decoded.fingerprint(place, files, (32, 32), 3)
    assert first == decoded.fingerprint(place, files, (32, 32), 3)
    assert len(first) == 16 + 1 + 64
    monkeypatch.chdir(files[0].parent)
    relative = [path.relative_to(files[0].parent) for path in files]
    assert first == decoded.fingerprint(".", relative, (32, 32), 3)


def test_the_place_and_the_options_are_told_in_front(files):
    def place(*args):
        return decoded.fingerprint(*args).partition(decoded.APART)[0]

    first = place("a", files, 3)
    files[0].write_bytes(b"other")
    assert place("a", files[:1], 3) == first
    assert first not in (place("b", files, 3), place("a", files, 1))


def change_size(files):
    files[1].write_bytes(b"123456")
    os.utime(files[1], ns=(10**18, 10**18))


def change_time(files):
    os.utime(files[1], ns=(10**18, 10**18 + 1))


def rename(files):
    files[1] = files[1].rename(files[1].with_name("c.png"))


def move(files):
    folder = files[0].parent / "elsewhere"
    folder.mkdir()
    files[:] = [path.rename(folder / path.name) for path in files]


@pytest.mark.parametrize(
    "change", [change_size, change_time, rename, move, list.reverse, list.pop]
)
def test_another_file_has_another_fingerprint(files, change):
    before = decoded.fingerprint("", files, 3)
    change(files)
    assert decoded.fingerprint("", files, 3) != before


def test_other_options_or_another_version_have_another_fingerprint(files, monkeypatch):
    options = [(), (None, 3), ((32, 32), 3), ((32, 32), 1), ((32, 32), "3")]
    marks = {decoded.fingerprint("", files, *extra) for extra in options}
    monkeypatch.setattr(decoded, "VERSION", decoded.VERSION + 1)
    marks.add(decoded.fingerprint("", files))
    assert len(marks) == 6


def test_a_file_whose_name_is_not_text_has_a_fingerprint(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.png")
    path.touch()
    assert decoded.fingerprint("", [path]) == decoded.fingerprint("", [path])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.png"):
        decoded.fingerprint("", [tmp_path / "absent.png"])
