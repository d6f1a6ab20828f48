"""Raw pixels as features."""

import re

import numpy as np
import pytest

from vae_jax.extractors import pixels

SHAPE = (2, 3, 3)


def test_features_are_the_values_between_0_and_1_row_by_row():
    images = np.arange(36, dtype=np.uint8).reshape(2, *SHAPE) * 7
    found = pixels.build(SHAPE).features(images)
    assert found.dtype == np.float64
    # 7 * 35 = 245 is the last value; the channel runs fastest. Both agree to the bit:
    # each is one division in float64.
    expected = [[v * 7 / 255 for v in range(18)], [v * 7 / 255 for v in range(18, 36)]]
    np.testing.assert_array_equal(found, expected)


def test_black_is_0_and_white_is_1():
    features = pixels.build(SHAPE).features
    for value, feature in (0, 0.0), (255, 1.0):
        assert (features(np.full((1, *SHAPE), value, np.uint8)) == feature).all()


def test_it_has_a_name_one_dimension_per_value_and_no_weights():
    found = pixels.build(SHAPE)
    assert found[:3] == ("pixels", "", 18)
    assert found.features(np.zeros((4, *SHAPE), np.uint8)).shape == (4, 18)


@pytest.mark.parametrize(
    "shape", [(4, 3, 2, 3), (4, 2, 3, 1), (2, 3, 3), (0, 2, 3, 3), (4, 18)]
)
def test_images_of_another_shape_are_refused(shape):
    said = f"pixels: images must be [N, 2, 3, 3] and not none, got shape {shape}"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        pixels.build(SHAPE).features(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_images_that_are_not_bytes_are_refused(dtype):
    with pytest.raises(TypeError, match=f"^pixels: images must be uint8, got {dtype}$"):
        pixels.build(SHAPE).features(np.zeros((4, *SHAPE), dtype))
