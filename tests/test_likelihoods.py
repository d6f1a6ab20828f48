"""Likelihoods: what is learned, what is reported, what is drawn."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import likelihoods

TARGET = jnp.full((2, 3, 3, 1), 0.25)
PIXELS = jnp.full((2, 3, 3, 1), 0.5)


def gaussian(**changes):
    fields = {"sigma": 1.0, "sigma_learnable": False, "include_const": True}
    return likelihoods.build("gaussian", **(fields | changes))


def bernoulli():
    return likelihoods.build(
        "bce", sigma=1.0, sigma_learnable=False, include_const=True
    )


def test_a_fixed_sigma_is_read_from_the_hparams(hparams):
    fixed = gaussian()
    assert fixed.init() == {}
    nll = fixed.nll({}, hparams._replace(sigma=jnp.float32(0.5)), PIXELS, TARGET, 1.0)
    # Nine values: (0.25 / 0.5)^2 / 2 + log 0.5 + log(2 pi) / 2.
    expected = 9 * (0.125 + math.log(0.5) + 0.5 * math.log(2 * math.pi))
    np.testing.assert_allclose(nll, expected, rtol=1e-6)


def test_a_learnable_sigma_starts_at_the_given_one_and_ignores_the_hparams(hparams):
    learnable = gaussian(sigma=0.5, sigma_learnable=True)
    params = learnable.init()
    np.testing.assert_allclose(jnp.exp(params["log_sigma"]), 0.5, rtol=1e-6)
    given = [
        learnable.nll(params, hparams._replace(sigma=s), PIXELS, TARGET, 1.0)
        for s in (jnp.float32(0.1), jnp.float32(2.0))
    ]
    np.testing.assert_array_equal(*given)


def test_gradient_descent_takes_a_learnable_sigma_to_the_root_mean_square_error(
    hparams,
):
    learnable = gaussian(sigma=1.0, sigma_learnable=True)

    def nll(params):
        return learnable.nll(params, hparams, PIXELS, TARGET, 1.0).mean()

    params = learnable.init()
    for _ in range(500):
        slope = jax.grad(nll)(params)["log_sigma"]
        params = {"log_sigma": params["log_sigma"] - 0.02 * slope}
    np.testing.assert_allclose(jnp.exp(params["log_sigma"]), 0.25, rtol=1e-4)


def test_include_const_changes_the_loss_and_never_the_reported_nll(hparams):
    with_const, without = gaussian(), gaussian(include_const=False)
    arguments = ({}, hparams, PIXELS, TARGET, 1.0)
    np.testing.assert_array_equal(with_const.nll(*arguments), without.nll(*arguments))
    np.testing.assert_array_equal(
        with_const.loss(*arguments), with_const.nll(*arguments)
    )
    np.testing.assert_allclose(
        with_const.loss(*arguments) - without.loss(*arguments),
        9 * 0.5 * math.log(2 * math.pi),
        rtol=1e-6,
    )


def test_the_mean_of_bernoulli_pixels_is_a_probability_and_of_gaussian_ones_itself():
    logits = jnp.array([-1e4, 0.0, 1e4]).reshape(1, 1, 3, 1)
    np.testing.assert_allclose(bernoulli().mean(logits).ravel(), [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(gaussian().mean(logits), logits)


@pytest.mark.parametrize("name", likelihoods.NAMES)
def test_samples_have_the_mean_that_the_likelihood_states(name, key, hparams):
    likelihood = bernoulli() if name == "bce" else gaussian()
    pixels = jnp.full((1, 100, 100, 1), 0.4)
    drawn = likelihood.sample(key, {}, hparams, pixels)
    standard_error = drawn.std() / 100  # of 10,000 pixels
    assert abs(drawn.mean() - likelihood.mean(pixels).mean()) < 4 * standard_error
    if name == "bce":
        assert set(np.unique(drawn)) == {0.0, 1.0}
    else:
        # The spread of 10,000 draws is known to 1/sqrt(20,000), 0.7 %: four times that.
        np.testing.assert_allclose(drawn.std(), 1.0, rtol=0.028)


def test_an_unknown_likelihood_lists_the_known_ones():
    with pytest.raises(ValueError, match="must be one of bce, gaussian, got 'mse'"):
        likelihoods.build("mse", sigma=1.0, sigma_learnable=False, include_const=True)
