"""What latents can gain, against optimisers, closed forms and bounds."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
import real_data
import scipy.optimize

from vae_jax import data, pixels, spectrum
from vae_jax.models import pyramid

SPECTRUM = np.array([4.0, 2.0, 0.5, 0.3, 0.1])  # of five values


def loss_of_one_direction(numbers, variance, sigma, beta):
    """That of a linear VAE in one dimension, over x with that variance.

    p(x|z) = N(w z, sigma^2), q(z|x) = N(a x, s^2), expectations in closed form.
    """
    w, a, log_s = numbers
    s2 = math.exp(2 * log_s)
    recon = (variance * (1 - w * a) ** 2 + w**2 * s2) / (2 * sigma**2)
    kl = (a**2 * variance + s2 - 1) / 2 - log_s
    return recon + beta * kl


@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("variance", [0.2, 0.9, 2.0, 30.0])
def test_the_gain_of_a_latent_is_what_an_optimiser_finds(variance, beta):
    sigma = 0.7
    args = variance, sigma, beta
    found = scipy.optimize.minimize(loss_of_one_direction, (1.0, 1.0, -1.0), args)
    without = loss_of_one_direction((0.0, 0.0, 0.0), *args)
    gain = spectrum.gains(np.array([variance]), sigma, beta)[0]
    # The optimiser stops at gradients of 1e-5.
    assert gain == pytest.approx(without - found.fun, abs=1e-7)
    used = abs(found.x[0]) > 1e-2
    assert spectrum.survivors(np.array([variance]), sigma, beta) == used
    assert (gain > 0) == used


def test_at_beta_0_a_latent_gains_the_whole_error():
    # v / (2 sigma^2) with sigma = 2
    np.testing.assert_allclose(spectrum.gains(SPECTRUM, 2.0, 0.0), SPECTRUM / 8)
    assert spectrum.survivors(SPECTRUM, 2.0, 0.0) == 5
    assert spectrum.ceiling(SPECTRUM, 2.0) == pytest.approx(6.9 / 8)


def log_density(model, sample):
    """Mean of log N(x; 0, model) over x of covariance ``sample``."""
    _, log_det = np.linalg.slogdet(2 * np.pi * model)
    return -(log_det + np.trace(np.linalg.solve(model, sample))) / 2


def rotated(variances, key=0):
    rng = np.random.default_rng(key)
    axes = np.linalg.qr(rng.normal(size=(len(variances), len(variances))))[0]
    return lambda diagonal: axes @ np.diag(diagonal) @ axes.T


def test_at_beta_1_gains_add_up_to_the_likelihood_of_ppca():
    sigma, covariance = 0.6, rotated(SPECTRUM)
    # Tipping & Bishop 1999, equation 15: of sigma^2 = 0.36 two are above, and fitted.
    model = covariance(np.array([4.0, 2.0, 0.5, 0.36, 0.36]))
    none = covariance(np.full(5, 0.36))
    sample = covariance(SPECTRUM)
    expected = log_density(model, sample) - log_density(none, sample)
    gains = spectrum.gains(SPECTRUM, sigma, 1.0)
    assert gains.sum() == pytest.approx(expected)
    assert list(gains > 0) == [True, True, True, False, False]


def test_the_best_sigma_at_beta_1_is_the_mean_of_what_is_discarded():
    found = spectrum.fit(SPECTRUM, 5.0, 2, 1.0)
    noise = (0.5 + 0.3 + 0.1) / 3
    assert found.sigma == pytest.approx(math.sqrt(noise))
    assert found.latents == 2
    covariance = rotated(SPECTRUM)
    model = covariance(np.array([4.0, 2.0, noise, noise, noise]))
    alone = covariance(np.full(5, 6.9 / 5))
    sample = covariance(SPECTRUM)
    expected = log_density(model, sample) - log_density(alone, sample)
    assert found.gain == pytest.approx(expected)


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("most", [1, 3])
def test_the_best_sigma_is_what_an_optimiser_finds(beta, most):
    # Of 9 values, four of which do not vary: their part is in num_values alone.
    def loss(log_noise):
        noise = math.exp(log_noise)
        error = 9 / 2 * log_noise + SPECTRUM.sum() / (2 * noise)
        return error - spectrum.gains(SPECTRUM, math.sqrt(noise), beta)[:most].sum()

    grid = np.linspace(-6, 3, 9001)
    values = [loss(point) for point in grid]
    best = int(np.argmin(values))
    found = spectrum.fit(SPECTRUM, 9.0, most, beta)
    # Half a step of the grid, in log sigma^2; the loss is flat at its minimum.
    assert 2 * math.log(found.sigma) == pytest.approx(grid[best], abs=1e-3)
    alone = 9 / 2 * (math.log(6.9 / 9) + 1)
    assert found.gain == pytest.approx(alone - values[best], abs=1e-5)
    used = spectrum.survivors(SPECTRUM, found.sigma, beta)
    assert found.latents == min(most, used)


def test_as_many_latents_as_directions_leave_no_sigma():
    assert spectrum.fit(SPECTRUM, 9.0, 5, 1.0) == (0.0, 5, math.inf)
    assert spectrum.fit(np.zeros(5), 9.0, 2, 1.0) == (0.0, 0, 0.0)


@pytest.mark.parametrize("num", [40, 6], ids=["more images", "fewer images"])
def test_variances_are_those_of_values_counted_by_their_weights(num):
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(num, 8)) + 3, rng.uniform(size=8)
    weights[2] = 0.0
    scaled = values * np.sqrt(weights)
    expected = np.linalg.eigvalsh(np.cov(scaled.T, bias=True))[::-1]
    found = spectrum.variances(values, weights)
    # Differences of rounding: float64 has 1e-16 of numbers of about 10.
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-13)
    assert found[-1] == 0.0  # the value that does not count, or the mean


def test_the_ends_of_the_cross_entropy_are_those_of_two_pixels():
    values = np.array([[0.0, 0.2], [1.0, 0.2]])
    found = spectrum.cross_entropy(values, np.array([1.0, 3.0]))
    # A fair coin, log 2; and three times the entropy of 0.2, known or not.
    grey = 3 * -(0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    assert found.best_constant == pytest.approx(math.log(2) + grey)
    assert found.floor == pytest.approx(grey)


def cross_entropy(logit, x):
    return np.logaddexp(0, logit) - x * logit


def excess(sigma):
    """The most by which the cross-entropy rises above the Gaussian that bounds it."""
    p = np.linspace(0.01, 0.99, 99)[:, None, None]
    x = np.linspace(0, 1, 11)[None, :, None]
    mean = np.linspace(-2, 3, 101)[None, None, :]  # of the Gaussian
    at_mean = np.log(p) - np.log1p(-p)
    moved = at_mean + (mean - p) / sigma**2
    rise = cross_entropy(moved, x) - cross_entropy(at_mean, x)
    return (rise - ((x - mean) ** 2 - (x - p) ** 2) / (2 * sigma**2)).max()


def test_a_gaussian_of_sigma_a_half_bounds_the_cross_entropy_and_none_below_does():
    assert excess(spectrum.BERNOULLI_SIGMA) < 1e-12  # rounding
    # In the logit its parabola has the curvature sigma^2: here 0.24, not 1/4.
    assert excess(0.98 * spectrum.BERNOULLI_SIGMA) > 1e-3


@real_data.needs("MNIST")
def test_the_early_stages_of_mnist_have_next_to_nothing_to_learn():
    nothing = data.Wanted(str(real_data.FOLDER), None, 0, None, 0, 0)
    options = {"valid_size": 0, "test_size": -1, "binarize": "none", "limit": 10_000}
    images = data.load("mnist", nothing, **options).train.images
    grids = pyramid.build((28, 28, 1), 4, 32)
    levels = grids.levels(pixels.to_float(jnp.asarray(images), "unit"))
    found = []
    for stage, level in enumerate(levels):
        values = np.asarray(level, np.float64).reshape(len(level), -1)
        weights = np.asarray(grids.weight(stage), np.float64).ravel()
        ends = spectrum.cross_entropy(values, weights)
        found.append(ends.best_constant - ends.floor)
    # The design's figures of all 60,000 images; of the first 10,000, within 2%.
    np.testing.assert_allclose(found, [0.52, 4.57, 31, 160], rtol=0.02)
