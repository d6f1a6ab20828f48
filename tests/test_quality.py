"""How generated images compare, and what is said about the numbers."""

import numpy as np
import pytest

from vae_jax import distances, quality
from vae_jax.contracts import Extractor


def mean_and_spread(images):
    """Two features of an image."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    return np.stack([flat.mean(axis=1), flat.std(axis=1)], axis=1)


EXTRACTOR = Extractor("two", "abc", 2, mean_and_spread)
RNG = np.random.default_rng(0)
REAL = RNG.integers(0, 200, (60, 4, 3, 1)).astype(np.uint8)
FAKE = RNG.integers(40, 256, (50, 4, 3, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def found():
    real, fake = (quality.of_rows(mean_and_spread(images)) for images in (REAL, FAKE))
    return quality.comparison(EXTRACTOR, real, fake, "samples", infinity=True)


def test_every_measure_is_that_of_the_features_and_named_after_them(found):
    real, fake = mean_and_spread(REAL), mean_and_spread(FAKE)
    moments = [distances.moments(rows) for rows in (real, fake)]
    shares = distances.prdc(real, fake, k=5)
    expected = {
        "fd_two": distances.frechet_distance(*moments),
        "fd_two_infinity": distances.frechet_infinity(moments[0], fake, 0).value,
        "kid_two": distances.kid(real, fake, 0).value,
        **{f"{name}_two": value for name, value in shares._asdict().items()},
    }
    assert {name: number["value"] for name, number in found.items()} == expected
    assert expected["fd_two"] > 1


def test_every_number_says_of_how_many_images_and_how(found):
    for number in found.values():
        assert (number["n_real"], number["n_fake"]) == (60, 50)
        assert number["how"].startswith("samples")
        assert number["unit"]


def test_the_distance_is_called_fid_only_with_the_features_that_define_it():
    assert quality.distance_name(EXTRACTOR) == "fd_two"
    assert quality.distance_name(EXTRACTOR._replace(name="inception")) == "fid"


def test_infinity_needs_four_images_for_every_feature():
    few = quality.of_rows(mean_and_spread(FAKE[:7]))
    real = quality.of_rows(mean_and_spread(REAL))
    names = quality.comparison(EXTRACTOR, real, few, "", infinity=True)
    assert "fd_two_infinity" not in names


def test_a_set_too_small_for_its_covariance_is_said():
    real, two = (
        quality.of_rows(mean_and_spread(images)) for images in (REAL, FAKE[:2])
    )
    assert quality.too_few(EXTRACTOR, real) is None
    text = "two: 2 images are too few for a covariance of full rank in 2 dimensions"
    assert quality.too_few(EXTRACTOR, real, two).startswith(text)


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        quality.of_rows(np.full((3, 2), np.nan))
