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


@pytest.mark.parametrize(
    ("split", "kind", "message"),
    [
        (
            Split(IMAGES.astype(float), LABELS),
            TypeError,
            "images must be uint8, got float64",
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
    ],
)
@pytest.mark.parametrize("part", ["train", "test"])
def test_wrong_arrays_are_refused_by_name(part, split, kind, message):
    raw = Raw("memory", GOOD, GOOD)._replace(**{part: split})
    with pytest.raises(kind) as caught:
        check("set", raw)
    assert str(caught.value) == f"set {part}: {message}"


def test_train_and_test_images_of_different_shapes_are_refused():
    other = Split(np.zeros((5, 4, 4, 1), np.uint8), LABELS)
    with pytest.raises(ValueError, match=r"one shape, got \(4, 3, 1\) and \(4, 4, 1\)"):
        check("set", Raw("memory", GOOD, other))
