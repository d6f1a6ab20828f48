"""Likelihoods: what is learned, what is reported, what is drawn."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from scipy import special, stats

from vae_jax import likelihoods

TARGET = jnp.full((2, 3, 3, 1), 0.25)
PIXELS = jnp.full((2, 3, 3, 1), 0.5)


gaussian = functools.partial(small.likelihood, "gaussian")
bernoulli = functools.partial(small.likelihood, "bce")


def test_logits_are_those_of_probabilities_clipped_to_a_thousandth():
    found = likelihoods.logits(np.array([0.0, 5e-4, 0.2, 0.5, 1.0]))
    expected = special.logit([1e-3, 1e-3, 0.2, 0.5, 0.999])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


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


@pytest.mark.parametrize("recon", likelihoods.NAMES)
def test_every_value_counts_by_its_weight(recon, hparams):
    likelihood = small.likelihood(recon)
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(3, 2, 2, likelihood.channels_per_pixel))
    pixels, target = np.float32(pixels), np.float32(rng.random((3, 2, 2, 1)))
    weights = np.float32([[0.0, 0.5], [1.0, 0.25]])
    for of in (likelihood.nll, likelihood.loss):

        def total(rows, columns, weight, of=of):
            part = (slice(None), slice(*rows), slice(*columns))
            seen = jnp.asarray(pixels[part]), jnp.asarray(target[part])
            return of({}, hparams, *seen, weight)

        expected = sum(
            weights[i, j] * total((i, i + 1), (j, j + 1), 1.0)
            for i in range(2)
            for j in range(2)
        )
        found = total((0, 2), (0, 2), jnp.asarray(weights.reshape(1, 2, 2, 1)))
        # float32: sums of four numbers of size 1 to 10, in another order
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("recon", "constant"),
    [
        ("gaussian", 0.5 * math.log(2 * math.pi)),
        ("gaussian_per_pixel", 0.5 * math.log(2 * math.pi)),
        ("laplace", math.log(2)),
    ],
)
def test_include_const_changes_the_loss_and_never_the_reported_nll(
    recon, constant, hparams
):
    with_const = small.likelihood(recon)
    without = small.likelihood(recon, include_const=False)
    pixels = jnp.tile(PIXELS, with_const.channels_per_pixel)
    arguments = ({}, hparams, pixels, TARGET, 1.0)
    np.testing.assert_array_equal(with_const.nll(*arguments), without.nll(*arguments))
    np.testing.assert_array_equal(
        with_const.loss(*arguments), with_const.nll(*arguments)
    )
    np.testing.assert_allclose(
        with_const.loss(*arguments) - without.loss(*arguments),
        9 * constant,
        rtol=1e-5,  # float32, of a difference
    )


def test_the_mean_of_bernoulli_pixels_is_a_probability_and_of_gaussian_ones_itself():
    logits = jnp.array([-1e4, 0.0, 1e4]).reshape(1, 1, 3, 1)
    np.testing.assert_allclose(bernoulli().mean(logits).ravel(), [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(gaussian().mean(logits), logits)


@pytest.mark.parametrize("learnable", [True, False])
@pytest.mark.parametrize("name", likelihoods.NAMES)
def test_draws_are_distributed_as_the_nll_says_and_have_the_stated_mean(
    name, learnable, key, hparams
):
    likelihood = small.likelihood(name, sigma=0.3, sigma_learnable=learnable)
    hparams = hparams._replace(sigma=jnp.float32(0.3))
    # Two outputs a pixel, where there are two: the second is the log of a scale, so
    # small that the tails of a logistic, which clipping moves, hold next to nothing.
    outputs = jnp.array([0.7, -4.0])[: likelihood.channels_per_pixel]
    pixels = jnp.broadcast_to(outputs, (1, 100, 100, len(outputs)))
    drawn = np.asarray(likelihood.sample(key, likelihood.init(), hparams, pixels))

    grid = {
        "binary": np.array([0.0, 1.0]),
        "mass": (np.arange(256) + 0.5) / 256,
        "density": np.arange(-6, 8, 1e-4) + 0.5e-4,  # middles of cells
    }[likelihood.kind]
    if name == "continuous_bernoulli":
        grid = grid[(grid > 0) & (grid < 1)]
    x = jnp.asarray(grid, jnp.float32).reshape(-1, 1, 1, 1)
    of_grid = jnp.broadcast_to(outputs, (*x.shape[:3], len(outputs)))
    nll = likelihood.nll(likelihood.init(), hparams, of_grid, x, 1.0)
    shares = np.exp(-np.asarray(nll, np.float64))
    shares *= 1e-4 if likelihood.kind == "density" else 1.0
    np.testing.assert_allclose(shares.sum(), 1.0, rtol=1e-4)  # of the grid

    # Kolmogorov's statistic of 10,000 draws is above 1.95 / 100 once in 1000 seeds.
    found = np.searchsorted(np.sort(drawn.ravel()), grid + 1e-6, side="right") / 1e4
    assert abs(found - shares.cumsum()).max() < 0.0195
    standard_error = drawn.std() / 100
    stated = float(likelihood.mean(pixels).mean())
    assert abs(drawn.mean() - stated) < 4 * standard_error
    if likelihood.kind != "density":
        assert np.isin(drawn, np.float32(grid)).all()


def test_the_sigma_of_a_pixel_starts_at_the_given_one_and_never_is_below_its_floor(
    hparams,
):
    hparams = hparams._replace(sigma=jnp.float32(0.5), sigma_floor=jnp.float32(0.01))
    likelihood = small.likelihood("gaussian_per_pixel")

    def sigma(raw):
        # At the mean itself the NLL of one value is log sigma + log(2 pi) / 2.
        pixels = jnp.array([0.3, raw]).reshape(1, 1, 1, 2)
        target = jnp.full((1, 1, 1, 1), 0.3)
        nll = likelihood.nll({}, hparams, pixels, target, 1.0)[0]
        return math.exp(nll - 0.5 * math.log(2 * math.pi))

    # softplus(x) exceeds x by log(1 + exp(-x)), and exp(x) is 0.5 / 0.01 here.
    assert sigma(0.0) == pytest.approx(0.5 * (1 + 0.01 / 0.5), rel=1e-5)
    assert sigma(-100.0) == pytest.approx(0.01, rel=1e-5)
    assert sigma(2.0) > sigma(0.0)


def test_a_discretized_logistic_keeps_its_mean_and_scale_within_bounds(hparams):
    likelihood = small.likelihood("discretized_logistic")
    ends = jnp.array([-1e4, 1e4]).reshape(2, 1, 1, 1)
    pixels = jnp.concatenate([ends, ends], axis=-1)
    np.testing.assert_allclose(likelihood.mean(pixels).ravel(), [1 / 512, 511 / 512])
    target = jnp.full((2, 1, 1, 1), 0.5)
    nll = likelihood.nll({}, hparams, pixels, target, 1.0)
    # Scales exp(-4.5) and 1: shares by scipy's logistic distribution.
    edges = [0.5 + 1 / 512, 0.5 - 1 / 512]
    low = stats.logistic.logpdf(0.5, 1 / 512, math.exp(-4.5)) - math.log(256)
    high = math.log(-np.diff(stats.logistic.cdf(edges, 511 / 512))[0])
    # The density at the middle is that of a bin of a third of the scale to 0.5 %.
    np.testing.assert_allclose(nll, [-low, -high], rtol=5e-3)


def test_an_unknown_likelihood_lists_the_known_ones():
    known = f"must be one of {', '.join(likelihoods.NAMES)}, got 'mse'"
    with pytest.raises(ValueError, match=known):
        small.likelihood("mse")
