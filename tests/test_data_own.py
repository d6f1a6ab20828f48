"""The user's own images in npz and IDX files, behind the one door."""

import gzip
import os
import pathlib
import re

import numpy as np
import pytest
from conftest import anything
from test_data_idx import idx_bytes

from vae_jax import data
from vae_jax.data import dataset, npz, own_idx, own_npz

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (20, 6, 5), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(20)


def npz_file(tmp_path, **arrays):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays)
    return str(path)


def load(name, path, **changes):
    sizes = {"valid_size": -1, "test_size": -1, "binarize": "none", "limit": 0}
    return data.load(name, anything(path=path), **{**sizes, **changes})


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (BYTES, BYTES[..., None]),
        (COLOUR, COLOUR),
        ((BYTES / 255).astype(np.float32), (BYTES / 255).astype(np.float32)[..., None]),
        (BYTES / 255, (BYTES / 255).astype(np.float32)[..., None]),
        (BYTES > 99, np.where(BYTES > 99, np.uint8(255), np.uint8(0))[..., None]),
        (BYTES.astype(np.float16) / 256, (BYTES / np.float32(256))[..., None]),
    ],
    ids=["bytes", "colour", "float32", "float64", "bool", "float16"],
)
def test_images_keep_their_type_or_become_float32(tmp_path, images, expected):
    raw = own_npz.load(npz_file(tmp_path, images=images))
    assert raw.train.images.dtype == expected.dtype
    # float16 has 11 bits, so v/256 is exact in it.
    np.testing.assert_array_equal(raw.train.images, expected)
    assert raw.train.labels is raw.test is raw.valid is None
    assert raw.source == f"npz {tmp_path / 'own.npz'}"


def test_labels_follow_their_images_wherever_they_go(tmp_path):
    found = load("npz", npz_file(tmp_path, images=BYTES, labels=LABELS))
    assert [len(s.images) for s in (found.train, found.valid, found.test)] == [17, 1, 2]
    for split in (found.train, found.valid, found.test):
        assert split.labels.dtype == np.int32
        np.testing.assert_array_equal(split.images[..., 0], BYTES[split.labels])


def test_parts_may_be_the_images_themselves(tmp_path):
    path = npz_file(tmp_path, train=BYTES[:9], test=BYTES[9:], test_labels=LABELS[9:])
    raw = own_npz.load(path)
    np.testing.assert_array_equal(raw.train.images[..., 0], BYTES[:9])
    np.testing.assert_array_equal(raw.test.images[..., 0], BYTES[9:])
    np.testing.assert_array_equal(raw.test.labels, LABELS[9:])
    assert raw.train.labels is raw.valid is None


def test_parts_may_be_rows_of_the_images(tmp_path):
    rows = {"train": np.arange(4, 20), "valid": np.array([2, 0]), "test": [1, 3]}
    raw = own_npz.load(npz_file(tmp_path, images=BYTES, labels=LABELS, **rows))
    for part in own_npz.PARTS:
        split = getattr(raw, part)
        np.testing.assert_array_equal(split.labels, rows[part])
        np.testing.assert_array_equal(split.images[..., 0], BYTES[rows[part]])


@pytest.mark.parametrize(
    ("arrays", "left"),
    [
        ({"images": BYTES, "labels": LABELS, "train": [3, 1]}, ""),
        ({"train": BYTES, "train_labels": LABELS}, ""),
        ({"images": BYTES, "names": LABELS, "x_test": BYTES}, "'names', 'x_test'"),
        ({"images": BYTES, "train_labels": LABELS}, "'train_labels'"),
        ({"train": BYTES, "labels": LABELS}, "'labels'"),
        ({"train": BYTES, "Labels": LABELS, "other": LABELS}, "'Labels', 'other'"),
    ],
)
def test_arrays_that_are_used_for_nothing_are_named(tmp_path, caplog, arrays, left):
    path = npz_file(tmp_path, **arrays)
    assert own_npz.load(path).test is None
    assert caplog.messages == ([f"npz: left out of {path}: {left}"] if left else [])


@pytest.mark.parametrize(
    ("arrays", "part", "name"),
    [
        ({"images": BYTES, "train": [1, 2], "Test": [3]}, "test", "Test"),
        ({"images": BYTES, "val": [3]}, "valid", "val"),
        ({"Train": BYTES}, "train", "Train"),
    ],
)
def test_rows_or_images_of_a_part_that_is_called_otherwise_are_refused(
    tmp_path, arrays, part, name
):
    path = npz_file(tmp_path, **arrays)
    with pytest.raises(ValueError, match="looks like the part") as caught:
        load("npz", path)
    assert str(caught.value) == (
        f"{path}: what looks like the part {part} must be called {part}, got {name}; "
        "if it is no part, it needs another name"
    )


@pytest.mark.parametrize(
    ("arrays", "kind", "message"),
    [
        ({"x": BYTES}, ValueError, "own.npz: must hold images [N, H, W] or"),
        ({"x": BYTES, "y": LABELS}, ValueError, "and so on; got x, y"),
        ({"test": BYTES}, ValueError, "and so on; got test"),
        (
            {"images": np.where(BYTES > 3, BYTES / 255, np.nan)},
            ValueError,
            "npz train: images must be finite and in [0, 1], got NaN",
        ),
        (
            {"images": BYTES / 100},
            ValueError,
            "npz train: images must be finite and in [0, 1], got 0 to 2.55",
        ),
        (
            {"images": BYTES / 255 - 0.5},
            ValueError,
            "npz train: images must be finite and in [0, 1], got -0.5 to 0.5",
        ),
        (
            {"images": BYTES[:1]},
            ValueError,
            "npz: must have 2 images or more, to train on and to test, got 1",
        ),
        ({"images": BYTES[:0]}, ValueError, "and not empty, got shape (0, 6, 5, 1)"),
        (
            {"images": BYTES[0, 0]},
            ValueError,
            "own.npz: images: must be [N, H, W] or [N, H, W, C], got shape (5,)",
        ),
        (
            {"images": COLOUR.transpose(0, 3, 1, 2)},
            ValueError,
            "must have 1 or 3 channels, on the last axis, got shape (20, 3, 6, 5)",
        ),
        (
            {"images": BYTES.astype(int)},
            TypeError,
            "images: must be uint8, or float in [0, 1], or bool, got int64",
        ),
        (
            {"images": BYTES, "labels": LABELS[:3]},
            ValueError,
            "labels must be one for each of 20 images, got shape (3,)",
        ),
        (
            {"images": BYTES, "labels": LABELS[:19], "train": [0, 19]},
            ValueError,
            "own.npz: labels must be one for each of 20 images, got shape (19,)",
        ),
        (
            {"images": BYTES, "labels": np.int64(3)},
            ValueError,
            "own.npz: labels must be one for each of 20 images, got shape ()",
        ),
        (
            {"images": BYTES, "labels": LABELS + 2**32},
            ValueError,
            "own.npz: labels must fit into 32 bits",
        ),
        (
            {"images": BYTES, "train": np.arange(20), "test": [3, 4]},
            ValueError,
            "own.npz: train and test: must have no row in common, got 2, the first 3",
        ),
        (
            {"images": BYTES, "labels": LABELS / 2},
            TypeError,
            "own.npz: labels must be whole numbers, got float64",
        ),
        (
            {"images": BYTES, "train": [0, 20]},
            ValueError,
            "own.npz: train: must be rows 0 to 19 of images, got 0 to 20",
        ),
        (
            {"images": BYTES, "train": [0, 1], "test": BYTES},
            TypeError,
            "test: must be whole numbers [N], the rows of images that make the part, "
            "got uint8 (20, 6, 5)",
        ),
        (
            {"images": BYTES, "test": [0, 1]},
            ValueError,
            "own.npz: must hold images [N, H, W] or [N, H, W, C]",
        ),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_a_line(
    tmp_path, arrays, kind, message
):
    with pytest.raises(kind, match=re.escape(message)) as caught:
        load("npz", npz_file(tmp_path, **arrays))
    assert "\n" not in str(caught.value)


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def test_python_objects_are_refused_and_never_unpickled(tmp_path):
    trace = tmp_path / "trace"
    images = np.array([Trap(trace)], dtype=object)
    path = npz_file(tmp_path, images=images)
    with pytest.raises(ValueError, match=r"own.npz: must hold the plain arrays images"):
        own_npz.load(path)
    assert not trace.exists()
    np.load(path, allow_pickle=True)["images"]  # the trap works
    assert trace.exists()


@pytest.mark.parametrize("name", ["npz", "idx"])
@pytest.mark.parametrize("path", [None, "", "/no/such/place", "~no_such_user/x"])
def test_a_path_that_is_not_given_or_not_there_is_named(name, path):
    begin = f"^data.path: must name an? .* for data.name={name}"
    with pytest.raises(FileNotFoundError, match=begin) as caught:
        load(name, path)
    assert str(caught.value).endswith(f", got {path or ''!r}")


def test_the_name_of_a_folder_that_is_not_there_is_no_beginning_of_files(tmp_path):
    idx_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^data.path: .*, got '.*/fashoin'"):
        load("idx", str(tmp_path / "fashoin"))


def test_an_npz_file_of_more_than_memory_is_refused_before_it_is_read(
    tmp_path, monkeypatch
):
    path = npz_file(tmp_path, train=BYTES, test=BYTES[:1])
    monkeypatch.setattr(dataset, "MAX_BYTES", BYTES.nbytes + 500)
    load("npz", path)
    monkeypatch.setattr(dataset, "MAX_BYTES", BYTES.nbytes)
    monkeypatch.setattr(npz, "read", None)
    with pytest.raises(ValueError, match=r"images must take at most .* np\.save the"):
        load("npz", path)


@pytest.mark.parametrize("damage", [lambda c: c[:-200], lambda c: b"", lambda c: b"PK"])
def test_a_damaged_npz_file_is_named_and_left_in_place(tmp_path, damage):
    path = pathlib.Path(npz_file(tmp_path, images=BYTES))
    path.write_bytes(damage(path.read_bytes()))
    content = path.read_bytes()
    with pytest.raises(ValueError, match=f"^{path}: must be a whole npz file"):
        load("npz", str(path))
    assert path.read_bytes() == content


def idx_folder(folder, prefix="", parts=("train", "t10k"), zipped=False, dash="-"):
    for part in parts:
        contents = {"images": (3, BYTES), "labels": (1, LABELS.astype(np.uint8))}
        for what, (rank, array) in contents.items():
            content = idx_bytes(array if part == "train" else array[:7])
            path = folder / f"{prefix}{part}-{what}{dash}idx{rank}-ubyte"
            if zipped:
                path, content = (
                    path.with_name(f"{path.name}.gz"),
                    gzip.compress(content),
                )
            path.write_bytes(content)


@pytest.mark.parametrize("prefix", ["", "emnist-letters-"])
@pytest.mark.parametrize("test", ["t10k", "test"])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dash", ["-", "."])
def test_files_named_like_mnist_s_are_read(tmp_path, prefix, test, zipped, dash):
    idx_folder(tmp_path, prefix, ("train", test), zipped, dash)
    found = load("idx", str(tmp_path), valid_size=5)
    assert found.source == f"idx files in {tmp_path}"
    np.testing.assert_array_equal(found.train.images[..., 0], BYTES[:15])
    np.testing.assert_array_equal(found.valid.labels, LABELS[15:])
    np.testing.assert_array_equal(found.test.images[..., 0], BYTES[:7])
    np.testing.assert_array_equal(found.test.labels, LABELS[:7])


def test_labels_and_a_test_part_may_be_absent(tmp_path):
    idx_folder(tmp_path, parts=("train",))
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    found = load("idx", str(tmp_path))
    assert found.train.labels is None
    assert len(found.test.images) == 2


def test_of_several_sets_in_a_folder_one_is_chosen_by_its_prefix(tmp_path):
    for prefix in ("emnist-letters-", "emnist-digits-"):
        idx_folder(tmp_path, prefix)
    with pytest.raises(ValueError, match="must hold one set, or") as caught:
        load("idx", str(tmp_path))
    assert "one of 'emnist-digits-', 'emnist-letters-'" in str(caught.value)
    assert len(load("idx", f"{tmp_path}/emnist-letters-").test.images) == 7


def test_files_that_look_like_parts_of_a_set_and_are_none_are_named(tmp_path, caplog):
    idx_folder(tmp_path, "a-")
    for name in ("a-val-images-idx3-ubyte", "a-training-images-idx3-ubyte.gz"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a-notes.txt").write_text("of anything")
    (tmp_path / "b-val-images-idx3-ubyte").write_bytes(b"")
    load("idx", f"{tmp_path}/a-")
    assert (
        f"idx: left out of {tmp_path}: 'a-training-images-idx3-ubyte.gz', "
        "'a-val-images-idx3-ubyte'" in caplog.messages
    )


def test_a_folder_without_idx_files_is_an_error_that_says_so(tmp_path):
    (tmp_path / "x.png").touch()
    with pytest.raises(FileNotFoundError, match="must hold train-images-idx3-ubyte"):
        load("idx", str(tmp_path))


def test_an_idx_file_that_promises_more_than_it_holds_is_named(tmp_path):
    idx_folder(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"^{path}: must hold 600 bytes after its"):
        load("idx", str(tmp_path))


def test_idx_labels_where_images_should_be_are_refused(tmp_path):
    idx_folder(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(idx_bytes(np.arange(5, dtype=np.uint8)))
    with pytest.raises(ValueError, match=r"\[N, H, W, C\], got shape \(5,\)"):
        own_idx.load(str(tmp_path))


FASHION = pathlib.Path(
    os.environ.get("VAE_JAX_DATA_DIR") or os.devnull, "fashion_mnist"
)


@pytest.mark.skipif(
    not FASHION.is_dir(), reason="VAE_JAX_DATA_DIR holds no Fashion-MNIST"
)
def test_the_real_fashion_mnist_is_read_by_its_folder():
    found = load("idx", str(FASHION), valid_size=10_000)
    assert found.train.images.shape == (50_000, 28, 28, 1)
    # Its publisher's first labels: ankle boot, pullover, trouser, trouser, shirt.
    np.testing.assert_array_equal(found.test.labels[:5], [9, 2, 1, 1, 6])
