"""The data set inside the package."""

import numpy as np
import pytest
from conftest import anything

from vae_jax import data
from vae_jax.data import digits, npz


def load(split_seed=0, valid_size=300):
    wanted = anything(seed=split_seed)
    sizes = {"valid_size": valid_size, "test_size": 297, "limit": 0}
    return data.load("digits", wanted, binarize="none", **sizes)


def test_digits_has_1500_images_to_learn_from_and_297_to_test():
    found = load()
    assert found.source == "package"
    assert found.train.images.shape == (1200, 8, 8, 1)
    assert found.valid.images.shape == (300, 8, 8, 1)
    assert found.test.images.shape == (297, 8, 8, 1)


def test_every_digit_is_in_exactly_one_part_with_its_own_label():
    found = load()
    parts = found.train, found.valid, found.test
    rows = np.concatenate(
        [np.column_stack([s.images.reshape(-1, 64), s.labels]) for s in parts]
    )
    stored = npz.read(digits.PATH, ("images", "labels"))
    pixels = np.rint(stored["images"].reshape(-1, 64) * (255 / 16))
    expected = np.column_stack([pixels, stored["labels"]])
    np.testing.assert_array_equal(
        np.array(sorted(map(tuple, rows))), np.array(sorted(map(tuple, expected)))
    )


def test_the_stored_digits_are_uci_s_test_part():
    stored = npz.read(digits.PATH, ("images", "labels"))
    assert stored["images"].max() == 16
    # The counts that UCI's description gives for optdigits.tes.
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    np.testing.assert_array_equal(np.bincount(stored["labels"]), counts)
    # The upper half of the first image, a zero, as it is printed everywhere.
    first = [[0, 0, 5, 13, 9, 1, 0, 0], [0, 0, 13, 15, 10, 15, 5, 0]]
    np.testing.assert_array_equal(stored["images"][0, :2], first)


def test_split_seed_decides_the_test_images_and_valid_size_does_not():
    one, same, other = load(), load(valid_size=7), load(split_seed=1)
    np.testing.assert_array_equal(one.test.images, same.test.images)
    assert (one.test.images != other.test.images).any()


def test_the_order_of_a_seed_never_changes_between_versions():
    # Recorded once, on numpy 2.4.
    np.testing.assert_array_equal(load().test.labels[:8], [6, 6, 6, 2, 5, 6, 6, 2])


@pytest.mark.parametrize("valid_size", [1500, 2000])
def test_a_validation_part_of_all_images_is_refused(valid_size):
    with pytest.raises(ValueError, match="leave one of digits's 1500 training images"):
        load(valid_size=valid_size)
