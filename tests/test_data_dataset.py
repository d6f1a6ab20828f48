"""The check that every source passes."""

import numpy as np
import pytest

from vae_jax.data.dataset import Raw, Split, check

IMAGES = np.zeros((5, 4, 3, 1), np.uint8)
LABELS = np.zeros(5, np.int32)
GOOD = Split(IMAGES, LABELS)


def test_good_arrays_pass():
    check("set", Raw("memory", GOOD, GOOD))
    check("set", Raw("memory", Split(IMAGES, None), Split(IMAGES, None)))
    check("set", Raw("memory", Split(np.ones((2, 4, 3, 3), np.float32), None)))


@pytest.mark.parametrize(
    ("split", "kind", "message"),
    [
        (
            Split(IMAGES.astype(float), LABELS),
            TypeError,
            "images must be uint8 or float32, got float64",
        ),
        (
            Split(IMAGES[..., 0], LABELS),
            ValueError,
            "images must be [N, H, W, C] and not empty, got shape (5, 4, 3)",
        ),
        (
            Split(IMAGES[:0], LABELS[:0]),
            ValueError,
            "images must be [N, H, W, C] and not empty, got shape (0, 4, 3, 1)",
        ),
        (
            Split(IMAGES, LABELS.astype(np.int64)),
            TypeError,
            "labels must be int32, got int64",
        ),
        (
            Split(IMAGES, LABELS[:4]),
            ValueError,
            "labels must be one for each of 5 images, got shape (4,)",
        ),
        (
            Split(IMAGES, np.zeros((5, 2), np.int32)),
            ValueError,
            "labels must be one for each of 5 images, got shape (5, 2)",
        ),
        (
            Split(IMAGES + np.float32(1.5), LABELS),
            ValueError,
            "images must be finite and in [0, 1], got 1.5 to 1.5",
        ),
        (
            Split(IMAGES - np.float32(0.5), LABELS),
            ValueError,
            "images must be finite and in [0, 1], got -0.5 to -0.5",
        ),
        (
            Split(np.where(IMAGES == 0, np.float32(np.nan), 0), LABELS),
            ValueError,
            "images must be finite and in [0, 1], got NaN",
        ),
    ],
)
@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_wrong_arrays_are_refused_by_name(part, split, kind, message):
    raw = Raw("memory", GOOD, GOOD)._replace(**{part: split})
    with pytest.raises(kind) as caught:
        check("set", raw)
    assert str(caught.value) == f"set {part}: {message}"


@pytest.mark.parametrize("part", ["valid", "test"])
@pytest.mark.parametrize("images", [np.zeros((5, 4, 4, 1), np.uint8), IMAGES / 1])
def test_parts_of_different_shapes_or_types_are_refused(part, images):
    images = images if images.dtype == np.uint8 else images.astype(np.float32)
    raw = Raw("memory", GOOD)._replace(**{part: Split(images, LABELS)})
    with pytest.raises(ValueError, match="must have one shape and type") as caught:
        check("set", raw)
    assert str(caught.value) == (
        f"set: train and {part} images must have one shape and type, "
        f"got (4, 3, 1) uint8 and {images.shape[1:]} {images.dtype}"
    )


def test_labels_may_have_a_column_for_each_factor():
    factors = Split(IMAGES, np.zeros((5, 2), np.int32))
    check("set", Raw("memory", factors, factors, factors=("x", "y")))
    with pytest.raises(ValueError, match=r"labels must be \(3,\) for each of 5 images"):
        check("set", Raw("memory", factors, factors, factors=("x", "y", "z")))
