"""Images in files, as if of one array."""

import os

import numpy as np
import pytest

from vae_jax import data, report
from vae_jax.data import cache, digests, mapped, own_npy

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 3, 2, 1), dtype=np.uint8)
ROWS = np.random.default_rng(1).permutation(30)


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def files(tmp_path):
    """The images in four files, one of which has a single one."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, some in enumerate(np.split(IMAGES, [11, 12, 20])):
        np.save(folder / f"a-{number}-of-4.npy", some)
    return own_npy.load(str(folder)).train.images


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        slice(None),
        slice(9, 22),
        slice(25, 2, -3),
        slice(5, 5),
        np.array([29, 0, 11, 12, 11]),
        np.array([], int),
        np.array([[3, 1], [20, 19]]),
        np.arange(30) % 4 == 0,
    ],
    ids=str,
)
def test_an_index_gives_what_it_gives_of_an_array(files, index):
    for images, array in (
        (files, IMAGES),
        (files.only(ROWS), IMAGES[ROWS]),
        (
            files.only(ROWS).only(slice(4, 28)).only(np.array([1, 0, 23])),
            IMAGES[ROWS][[5, 4, 27]],
        ),
    ):
        if len(array) == 30:
            assert isinstance(images[index], np.ndarray)
            np.testing.assert_array_equal(images[index], array[index])
        np.testing.assert_array_equal(images[:], array)
        assert (images.shape, images.ndim, len(images)) == (
            array.shape,
            array.ndim,
            len(array),
        )
        assert (images.dtype, images.nbytes) == (array.dtype, array.nbytes)


def test_a_row_that_is_not_there_is_refused(files):
    with pytest.raises(IndexError):
        files[30]


def test_an_index_for_a_further_axis_is_refused(files):
    with pytest.raises(TypeError) as caught:
        files[..., 0]
    assert (
        str(caught.value) == "images: must be indexed by one number, got (Ellipsis, 0)"
    )


def test_all_of_them_do_not_become_an_array_unnoticed(files):
    for use in (np.asarray, np.mean, lambda images: images == 0 or np.array(images)):
        with pytest.raises(TypeError) as caught:
            use(files)
        assert str(caught.value) == (
            "images: must be read in parts, got a use of all 30 at once"
        )


@pytest.mark.parametrize("rows", [ROWS[:17], np.array([4, 4, 2])], ids=str)
def test_reading_says_where_each_row_went_and_stores_them_in_order(files, rows):
    for images in (files, IMAGES):
        out = np.empty((len(rows), 3, 2, 1), np.uint8)
        places = data.read(images, rows, out)
        np.testing.assert_array_equal(out, IMAGES[np.sort(rows)])
        np.testing.assert_array_equal(out[places], IMAGES[rows])


def test_blocks_are_all_images_and_none_is_large(files, monkeypatch):
    monkeypatch.setattr(mapped, "BLOCK_BYTES", 45)  # seven images of six bytes
    for images in (files.only(ROWS), IMAGES[ROWS]):
        blocks = list(data.blocks(images))
        assert [len(block) for block in blocks] == [7, 7, 7, 7, 2]
        np.testing.assert_array_equal(np.concatenate(blocks), IMAGES[ROWS])


def test_black_and_white_is_seen_in_files(tmp_path):
    black = np.zeros((30, 3, 2), np.uint8)
    black[::2] = 255
    np.save(tmp_path / "a.npy", black)
    images = own_npy.load(str(tmp_path / "a.npy")).train.images
    assert report.is_binary(images)
    black[29, 2, 1] = 1
    np.save(tmp_path / "b.npy", black)
    images = own_npy.load(str(tmp_path / "b.npy")).train.images
    assert not report.is_binary(images)


def test_the_digest_is_that_of_the_array_and_is_taken_once(files, monkeypatch):
    for images, array in ((files, IMAGES), (files.only(ROWS), IMAGES[ROWS])):
        expected = data.digest(data.Split(array, None))
        assert data.digest(data.Split(images, None)) == expected
        with monkeypatch.context() as patch:
            patch.setattr(digests, "_sha256", None)  # a call would fail
            patch.chdir("/")
            assert data.digest(data.Split(images, None)) == expected
    assert len(list(cache.path(digests.KIND).iterdir())) == 2
    path = files.paths[2]
    changed = IMAGES[12:20].copy()
    changed[3, 1, 1] ^= 1
    np.save(path, changed)
    os.utime(path, (1, 1))  # the clock of a file system may be coarse
    images = own_npy.load(str(path.parent)).train.images
    changed = np.concatenate([IMAGES[:12], changed, IMAGES[20:]])
    expected = data.digest(data.Split(changed, None))
    assert data.digest(data.Split(images, None)) == expected


def test_no_images_have_a_digest_too(files):
    empty = data.Split(files.only(slice(0, 0)), None)
    assert data.digest(empty) == data.digest(data.Split(IMAGES[:0], None))


def test_the_mean_is_that_of_all_images(files, monkeypatch):
    monkeypatch.setattr(mapped, "BLOCK_BYTES", 40)  # of six bytes each
    for images in (IMAGES, files, IMAGES.astype(np.float32) / 255):
        expected = np.asarray(images[:], np.float64).mean(axis=0)
        np.testing.assert_allclose(data.mean(images), expected, rtol=1e-12)
