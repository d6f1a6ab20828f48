"""From bytes to floats."""

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import pixels

LEVELS = jnp.arange(256, dtype=jnp.uint8).reshape(1, 16, 16, 1)


@pytest.mark.parametrize(
    ("scale", "ends"),
    [("unit", (0.0, 1.0)), ("centred", (0.5 / 256, 255.5 / 256))],
)
def test_levels_are_equally_spaced_by_the_stated_bin_width(scale, ends):
    x = pixels.to_float(LEVELS, scale).ravel()
    assert (x[0], x[-1]) == pytest.approx(ends)
    # One unit in the last place of numbers up to one
    np.testing.assert_allclose(np.diff(x), pixels.BIN_WIDTHS[scale], atol=6e-8)


def test_floats_pass_unchanged():
    x = jnp.full((1, 2, 2, 1), 0.123)
    assert pixels.to_float(x, "unit") is x


def test_binarized_pixels_are_white_as_often_as_they_are_grey(key):
    grey = jnp.full((1, 200, 200, 1), 0.3)
    drawn = pixels.binarize(key, grey)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    standard_error = (0.3 * 0.7) ** 0.5 / 200  # of 40,000 pixels
    assert abs(drawn.mean() - 0.3) < 4 * standard_error


def test_black_and_white_pixels_stay_as_they_are(key):
    ends = jnp.tile(jnp.array([0.0, 1.0]), 5000).reshape(1, 100, 100, 1)
    np.testing.assert_array_equal(pixels.binarize(key, ends), ends)


@pytest.mark.parametrize("scale", pixels.SCALES)
def test_bytes_come_back_from_floats(scale):
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    x = np.asarray(pixels.to_float(jnp.asarray(images), scale))
    np.testing.assert_array_equal(pixels.to_bytes(x, scale), images)
    assert pixels.to_bytes(images, scale) is images


def test_bytes_are_rounded_and_cut_to_their_range():
    x = np.array([-0.2, 0.4 / 255, 0.6 / 255, 1.7], np.float32).reshape(1, 2, 2, 1)
    assert pixels.to_bytes(x, "unit").ravel().tolist() == [0, 0, 1, 255]


def test_what_is_not_finite_has_no_bytes():
    x = np.zeros((3, 2, 2, 1), np.float32)
    x[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match="must be finite, got 1 of 3 that are not"):
        pixels.to_bytes(x, "unit")
