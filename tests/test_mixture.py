"""Mixtures: what is fitted, and what is drawn."""

import math
import sys

import numpy as np
import pytest

from vae_jax import mixture

TWO = mixture.Mixture(
    np.array([0.25, 0.75]),
    np.array([[-4.0, 0.0], [4.0, 1.0]]),
    np.array([[[1.0, 0.6], [0.6, 1.0]], [[0.25, 0.0], [0.0, 2.0]]]),
    converged=True,
)


def test_draws_have_the_moments_of_their_mixture():
    num = 20_000
    draws = mixture.sample(TWO, num, seed=1)
    assert draws.dtype == np.float32
    left = draws[draws[:, 0] < 0]  # eight standard deviations from the other half
    # Standard errors of a share and of Gaussian moments, four of them each.
    assert abs(len(left) / num - 0.25) < 4 * math.sqrt(0.25 * 0.75 / num)
    assert abs(left.mean(axis=0) - TWO.means[0]).max() < 4 / math.sqrt(len(left))
    covariance = np.cov(left.T)
    assert abs(covariance - TWO.covariances[0]).max() < 4 * math.sqrt(2 / len(left))


def test_a_seed_decides_the_draws():
    again, other = mixture.sample(TWO, 9, seed=1), mixture.sample(TWO, 9, seed=2)
    np.testing.assert_array_equal(mixture.sample(TWO, 9, seed=1), again)
    assert not np.array_equal(again, other)


def test_the_mixture_is_found_again():
    found = mixture.fit(mixture.sample(TWO, 5000, seed=3), components=2, seed=0)
    order = np.argsort(found.means[:, 0])
    assert found.converged
    # Moments of 1250 and 3750 draws: four standard errors, rounded up.
    np.testing.assert_allclose(found.weights[order], TWO.weights, atol=0.03)
    np.testing.assert_allclose(found.means[order], TWO.means, atol=0.12)
    np.testing.assert_allclose(found.covariances[order], TWO.covariances, atol=0.2)


def test_too_few_latents_and_what_is_not_finite_are_refused():
    with pytest.raises(ValueError, match="at most the number of latents, 3, got 5"):
        mixture.fit(np.zeros((3, 2)), components=5, seed=0)
    latents = np.zeros((9, 2))
    latents[[2, 4], 1] = np.nan
    with pytest.raises(ValueError, match="must be finite, got 2 rows"):
        mixture.fit(latents, components=2, seed=0)


def test_without_its_library_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match="it needs scikit-learn "):
        mixture.fit(np.zeros((9, 2)), components=2, seed=0)
