"""Losses against values worked out by hand, scipy, and each other."""

import math
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from vae_jax import losses

RNG = np.random.default_rng(0)


def random(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def test_bernoulli_nll_of_a_coin_flip_is_log_two_per_pixel():
    logits = jnp.zeros((2, 3))
    targets = jnp.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.5]])
    np.testing.assert_allclose(
        losses.bernoulli_nll(logits, targets), 3 * math.log(2.0), rtol=1e-6
    )


def test_bernoulli_nll_agrees_with_scipy_on_binary_images():
    logits, targets = random(4, 5, 3, 2), jnp.asarray(RNG.integers(0, 2, (4, 5, 3, 2)))
    probs = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    expected = -stats.bernoulli.logpmf(targets, probs).sum(axis=(1, 2, 3))
    nll = losses.bernoulli_nll(logits, targets.astype(jnp.float32))
    # float32 rounding of 30 terms
    np.testing.assert_allclose(nll, expected, rtol=1e-5)


@pytest.mark.parametrize("logit", [-1e4, -104.0, -88.0, 0.0, 88.0, 104.0, 1e4])
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_bernoulli_gradient_is_probability_minus_target_at_every_logit(logit, target):
    def total(logits):
        return losses.bernoulli_nll(logits, jnp.full((1, 1), target)).sum()

    value, grad = jax.value_and_grad(total)(jnp.full((1, 1), logit))
    assert np.isfinite(value)
    expected = 1 / (1 + math.exp(-np.clip(logit, -700, 700))) - target
    np.testing.assert_allclose(grad[0, 0], expected, atol=1e-6)  # float32 rounding


@pytest.mark.parametrize(
    ("target", "log_sigma", "nats"),
    [
        (0.0, 0.0, 0.9189385),  # log(2 pi) / 2: the constant is kept
        (1.0, 0.0, 1.4189385),  # plus 1/2 for an error of one standard deviation
        (0.0, -2.0, -1.0810615),  # a density above one has a negative NLL
    ],
)
def test_gaussian_nll_matches_hand_computed_values(target, log_sigma, nats):
    one = jnp.ones((1, 1))
    nll = losses.gaussian_nll(0.0 * one, jnp.float32(log_sigma), target * one)
    np.testing.assert_allclose(nll, nats, rtol=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_gaussian_nll_agrees_with_scipy(shared):
    mean, targets = random(4, 3, 2), random(4, 3, 2)
    log_sigma = jnp.float32(-0.7) if shared else random(4, 3, 2)
    sigma = np.exp(np.asarray(log_sigma, np.float64))
    expected = -stats.norm.logpdf(targets, mean, sigma).sum(axis=(1, 2))
    # float32 rounding of six terms that reach 100
    np.testing.assert_allclose(
        losses.gaussian_nll(mean, log_sigma, targets), expected, rtol=1e-4
    )


def test_include_const_moves_the_gaussian_nll_by_the_constant_and_keeps_log_sigma():
    mean, targets = random(2, 7), random(2, 7)
    for log_sigma in (-1.0, 0.5):
        full = losses.gaussian_nll(mean, jnp.float32(log_sigma), targets)
        less = losses.gaussian_nll(
            mean, jnp.float32(log_sigma), targets, include_const=False
        )
        np.testing.assert_allclose(full - less, 3.5 * math.log(2 * math.pi), rtol=1e-5)
    squared = 0.5 * np.square((targets - mean) / math.exp(0.5)).sum(axis=-1)
    np.testing.assert_allclose(less, squared + 7 * 0.5, rtol=1e-5)


def test_optimal_log_sigma_is_where_the_gaussian_nll_is_lowest():
    mean, targets = random(8, 6), random(8, 6)

    def total(log_sigma):
        return losses.gaussian_nll(mean, log_sigma, targets).sum()

    best = losses.optimal_log_sigma(mean, targets)
    np.testing.assert_allclose(jax.grad(total)(best), 0.0, atol=1e-4)  # of 48 terms
    assert total(best) < total(best + 0.01)
    assert total(best) < total(best - 0.01)


def test_gradient_through_the_optimal_sigma_is_that_of_the_log_error():
    # At the optimum the NLL is D/2 (log(2 pi MSE) + 1) on average, per image.
    mean, targets = random(8, 6), random(8, 6)

    def nll(mean):
        best = losses.optimal_log_sigma(mean, targets)
        return losses.gaussian_nll(mean, best, targets).mean()

    def closed_form(mean):
        mse = jnp.square(targets - mean).mean()
        return 3.0 * (jnp.log(2 * math.pi * mse) + 1.0)

    np.testing.assert_allclose(nll(mean), closed_form(mean), rtol=1e-5)
    np.testing.assert_allclose(
        jax.grad(nll)(mean), jax.grad(closed_form)(mean), rtol=1e-4, atol=1e-6
    )


LOGITS = [-1e4, -30.0, -0.6, -0.5, -0.4, -1e-4, 0.0, 1e-4, 0.4, 0.5, 0.6, 30.0, 1e4]


def continuous_bernoulli(logit):
    """Log of the constant and the mean, in float64: numpy, no series, no branches."""
    if not logit:
        return math.log(2.0), 0.5
    size = np.longdouble(abs(logit))
    log_constant = np.log(size) - np.log(np.tanh(size / 2))
    mean = -1 / np.expm1(-size) - 1 / size
    return float(log_constant), float(mean if logit > 0 else 1 - mean)


@pytest.mark.parametrize("logit", LOGITS)
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_continuous_bernoulli_nll_and_its_gradient_are_right_at_every_logit(
    logit, target
):
    def total(logits):
        return losses.continuous_bernoulli_nll(logits, jnp.full((1, 1), target)).sum()

    value, grad = jax.value_and_grad(total)(jnp.full((1, 1), logit))
    log_constant, mean = continuous_bernoulli(logit)
    expected = np.logaddexp(0, logit) - logit * target - log_constant
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)  # float32
    # An exponential family: the gradient is the mean minus the target. Rounding of
    # 1 / l - 1 / (exp(l) - 1) where both are about 2.
    np.testing.assert_allclose(grad[0, 0], mean - target, atol=1e-6)


@pytest.mark.parametrize("logit", [-20.0, -0.3, 0.0, 3.0])
def test_a_continuous_bernoulli_integrates_to_one(logit):
    grid = (jnp.arange(100_000) + 0.5) / 100_000  # the middles of cells
    given = jnp.full_like(grid, logit)[:, None]
    density = jnp.exp(-losses.continuous_bernoulli_nll(given, grid[:, None]))
    np.testing.assert_allclose(density.mean(), 1.0, rtol=1e-5)  # float32


@pytest.mark.parametrize("shared", [True, False])
def test_laplace_nll_agrees_with_scipy(shared):
    mean, targets = random(4, 3, 2), random(4, 3, 2)
    log_scale = jnp.float32(-0.7) if shared else random(4, 3, 2)
    scale = np.exp(np.asarray(log_scale, np.float64))
    expected = -stats.laplace.logpdf(targets, mean, scale).sum(axis=(1, 2))
    nll = losses.laplace_nll(mean, log_scale, targets)
    np.testing.assert_allclose(nll, expected, rtol=1e-5)  # float32
    less = losses.laplace_nll(mean, log_scale, targets, include_const=False)
    np.testing.assert_allclose(nll - less, 6 * math.log(2.0), rtol=1e-5)


LEVELS = {"unit": (jnp.arange(256) / 255, 1 / 255)}
LEVELS["centred"] = ((jnp.arange(256) + 0.5) / 256, 1 / 256)


@pytest.mark.parametrize("scale", LEVELS)
@pytest.mark.parametrize("mean", [1 / 512, 0.4, 1.3])
@pytest.mark.parametrize("log_scale", [-4.5, -2.0, 0.0])
def test_discretized_logistic_gives_each_level_its_share_and_all_of_them_one(
    scale, mean, log_scale
):
    levels, width = LEVELS[scale]
    nll = losses.discretized_logistic_nll(
        jnp.full((256, 1), mean), jnp.float32(log_scale), levels[:, None], width
    )
    np.testing.assert_allclose(jnp.exp(-nll).sum(), 1.0, rtol=1e-5)  # float32
    edges = np.asarray(levels, np.float64)[1:] - width / 2
    below = stats.logistic.cdf(edges, mean, math.exp(log_scale))
    shares = np.diff(np.concatenate([[0.0], below, [1.0]]))
    seen = shares > 1e-9  # the reference subtracts numbers near one in the others
    np.testing.assert_allclose(jnp.exp(-nll)[seen], shares[seen], rtol=1e-4)


@pytest.mark.parametrize("target", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("mean", [-5.0, 0.5, 6.0])
def test_discretized_logistic_and_its_gradient_are_finite_far_out_in_the_tails(
    target, mean
):
    def total(mean, log_scale):
        one = jnp.full((1, 1), target)
        return losses.discretized_logistic_nll(mean, log_scale, one, 1 / 255).sum()

    given = jnp.full((1, 1), mean), jnp.full((1, 1), -4.5)
    value, grads = jax.value_and_grad(total, (0, 1))(*given)
    assert np.isfinite([value, *(g.item() for g in grads)]).all()
    # In a tail the log-density is -|target - mean| / scale, and so is the share's.
    if abs(target - mean) > 1 and not (target == 0 > mean or target == 1 < mean):
        slope = np.sign(mean - target) * math.exp(4.5)
        np.testing.assert_allclose(grads[0].item(), slope, rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        losses.bernoulli_nll,
        losses.continuous_bernoulli_nll,
        lambda a, b, w: losses.gaussian_nll(a, jnp.float32(0.3), b, w),
        lambda a, b, w: losses.laplace_nll(a, 0.1 * a, b, w),
        lambda a, b, w: losses.discretized_logistic_nll(a, 0.1 * a, b, 1 / 255, w),
    ],
)
def test_weights_count_each_value_that_often(loss):
    mean, targets = random(3, 4, 4, 1), jnp.abs(random(3, 4, 4, 1)) % 1.0
    weights = np.zeros((1, 4, 4, 1), np.float32)
    weights[:, :2] = 1.0

    def nll(rows, weights):
        a, b = mean[:, rows], targets[:, rows]
        return loss(a, b, weights)

    everything = slice(None)
    np.testing.assert_allclose(
        nll(everything, jnp.asarray(weights)), nll(slice(2), 1.0), rtol=1e-6
    )
    np.testing.assert_allclose(
        nll(everything, 2.0), 2 * nll(everything, 1.0), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("mean", "logvar", "nats"),
    [
        (0.0, 0.0, 0.0),  # the prior itself
        (1.0, 0.0, 0.5),  # mean^2 / 2
        (0.0, math.log(4.0), 1.5 - math.log(2.0)),  # (4 - 1 - log 4) / 2
    ],
)
def test_kl_analytic_matches_hand_computed_values(mean, logvar, nats):
    kl = losses.kl_analytic(jnp.full((1, 1), mean), jnp.full((1, 1), logvar))
    np.testing.assert_allclose(kl, nats, rtol=1e-6, atol=1e-7)


def test_kl_analytic_agrees_with_quadrature_for_any_prior():
    grid = np.linspace(-12, 12, 200_001)
    for mean, logvar, prior_mean, prior_logvar in [(0.3, -0.5, -0.4, 0.8)]:
        q = stats.norm(mean, math.exp(logvar / 2))
        p = stats.norm(prior_mean, math.exp(prior_logvar / 2))
        integrand = q.pdf(grid) * (q.logpdf(grid) - p.logpdf(grid))
        expected = integrand.sum() * (grid[1] - grid[0])
        one = jnp.ones((1, 1))
        kl = losses.kl_analytic(
            mean * one, logvar * one, prior_mean * one, prior_logvar * one
        )
        np.testing.assert_allclose(kl[0], expected, rtol=1e-5)  # float32


@pytest.mark.parametrize("standard_prior", [True, False])
def test_kl_mc_converges_to_kl_analytic(key, standard_prior):
    draws = 20_000
    mean, logvar = jnp.array([[0.5, -1.0]]), jnp.array([[0.3, -0.7]])
    prior = () if standard_prior else (jnp.array([[0.2, 0.1]]), jnp.array([[0.5, 0.0]]))
    noise = jax.random.normal(key, (draws, *mean.shape))
    z = mean[None] + jnp.exp(0.5 * logvar)[None] * noise

    per_draw = jax.vmap(lambda one: losses.kl_mc(one[None], mean, logvar, *prior))(z)
    standard_error = per_draw.std() / math.sqrt(draws)
    gap = abs(per_draw.mean() - losses.kl_analytic(mean, logvar, *prior)[0])

    # Four standard errors: a correct estimator fails one seed in about 16,000.
    assert gap < 4 * standard_error


def test_kl_mc_averages_over_its_draws(key):
    z, mean, logvar = jax.random.normal(key, (3, 2, 4)), random(2, 4), random(2, 4)
    each = [losses.kl_mc(one[None], mean, logvar) for one in z]
    np.testing.assert_allclose(
        losses.kl_mc(z, mean, logvar), np.mean(each, axis=0), rtol=1e-5
    )


def test_log_normal_agrees_with_scipy():
    z, mean, logvar = random(5, 3), random(5, 3), random(5, 3)
    sigma = np.exp(0.5 * np.asarray(logvar, np.float64))
    expected = stats.norm.logpdf(z, mean, sigma).sum(axis=-1)
    np.testing.assert_allclose(
        losses.log_normal(z, mean, logvar), expected, rtol=1e-4
    )  # float32


def mixture(num=7, dims=3, low=-1.0, high=1.0, distance=1.0, seed=1):
    """Log-weights, means, log-variances, and five draws near components, float32."""
    rng = np.random.default_rng(seed)
    mean = distance * rng.normal(size=(num, dims)) + 2.0
    logvar = rng.uniform(low, high, (num, dims))
    log_weights = np.log(rng.dirichlet(np.ones(num)))
    near = rng.integers(0, num, 5)
    z = mean[near] + np.exp(logvar[near] / 2) * rng.normal(size=(5, dims))
    z, *of = (jnp.asarray(a, jnp.float32) for a in (z, log_weights, mean, logvar))
    return z, tuple(of)


def log_mixture_by_hand(z, log_weights, mean, logvar):
    """A plain loop in float64."""
    z, log_weights, mean, logvar = (
        np.asarray(a, np.float64) for a in (z, log_weights, mean, logvar)
    )
    scale, found = np.exp(logvar / 2), []
    for one in z:
        each = [
            log_weights[k] + stats.norm.logpdf(one, mean[k], scale[k]).sum()
            for k in range(len(mean))
        ]
        found.append(special.logsumexp(each))
    return np.array(found)


@pytest.mark.parametrize(
    "of",
    [
        {},
        {"num": 1},
        {"num": 500, "dims": 40},
        # As narrow as the log-variance of a posterior gets where it is clipped, and
        # narrower: two products alone would be off by 0.005 and 0.1 nats.
        {"num": 500, "dims": 40, "low": -6.0, "high": -5.9},
        {"num": 500, "dims": 40, "low": -10.0, "high": -8.0},
        {"distance": 100.0},
    ],
    ids=str,
)
def test_log_mixture_agrees_with_a_plain_loop_over_its_components(of):
    z, mixed = mixture(**of)
    expected = log_mixture_by_hand(z, *mixed)
    # float32 sums of up to 40 terms of up to 10, whose inputs have 7 digits
    np.testing.assert_allclose(losses.log_mixture(z, *mixed), expected, atol=1e-4)


def test_gradients_of_log_mixture_are_those_of_the_plain_form():
    def plain(z, log_weights, mean, logvar):
        square = jnp.square(z[:, None] - mean[None]) * jnp.exp(-logvar)[None]
        each = log_weights[None] - 0.5 * (square + logvar[None]).sum(axis=2)
        return jax.nn.logsumexp(each, axis=1).sum()

    z, mixed = mixture(low=-3.0, high=0.0)
    every = (0, 1, 2, 3)
    found = jax.grad(lambda *a: losses.log_mixture(*a).sum(), every)(z, *mixed)
    expected = jax.grad(plain, every)(z, *mixed)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)  # float32


def test_no_accelerator_may_round_the_factors_of_log_mixture():
    def total(*of):
        return losses.log_mixture(*of).sum()

    z, mixed = mixture()
    jaxpr = jax.make_jaxpr(jax.grad(total, (0, 1, 2, 3)))(z, *mixed)
    products = re.findall(r"dot_general\[.*?precision=(.*?)\n", str(jaxpr), re.DOTALL)
    # Two, and each of their two factors has a gradient.
    assert products == ["(Precision.HIGHEST, Precision.HIGHEST)"] * 6


def test_a_mixture_of_one_is_its_component_whichever_prior_it_is_given_as():
    z, (_, mean, logvar) = mixture(num=1, dims=4)
    one = losses.log_prior(z, jnp.zeros(1), mean, logvar)
    rows = (jnp.broadcast_to(a, z.shape) for a in (mean, logvar))
    np.testing.assert_allclose(one, losses.log_prior(z, *rows), rtol=1e-5)  # float32
    zeros = jnp.zeros((1, 4))
    standard = losses.log_prior(z, jnp.zeros(1), zeros, zeros)
    np.testing.assert_allclose(standard, stats.norm.logpdf(z).sum(axis=1), rtol=1e-5)


def test_kl_mc_to_a_mixture_converges_to_quadrature(key):
    draws, mean, logvar = 20_000, jnp.array([[0.4]]), jnp.array([[-0.8]])
    _, mixed = mixture(num=3, dims=1)
    grid = np.linspace(-9, 9, 20_001)
    q = stats.norm(0.4, math.exp(-0.4))
    log_p = log_mixture_by_hand(grid[:, None], *mixed)
    integrand = q.pdf(grid) * (q.logpdf(grid) - log_p)
    expected = integrand.sum() * (grid[1] - grid[0])

    z = mean[None] + jnp.exp(0.5 * logvar)[None] * jax.random.normal(key, (draws, 1, 1))
    per_draw = jax.vmap(lambda one: losses.kl_mc(one[None], mean, logvar, *mixed))(z)
    standard_error = per_draw.std() / math.sqrt(draws)
    assert expected > 0.5  # or the draws would prove nothing
    assert abs(losses.kl_mc(z, mean, logvar, *mixed)[0] - expected) < 4 * standard_error


def test_no_analytic_kl_to_a_mixture():
    z, mixed = mixture()
    message = "kl_analytic: the prior must be a diagonal Gaussian, got a mixture; try"
    with pytest.raises(ValueError, match=message):
        losses.kl_analytic(z, z, *mixed)


def test_elbo_never_exceeds_the_exact_log_likelihood():
    # Linear-Gaussian model, z ~ N(0, 1) and x | z ~ N(z, 1), so x ~ N(0, 2).
    x = jnp.array([[1.3]])
    half_log_two = jnp.float32(0.5 * math.log(2.0))
    log_px = -losses.gaussian_nll(jnp.zeros((1, 1)), half_log_two, x)

    def bound(mean, logvar):
        # E_q of the Gaussian NLL, in closed form: the plug-in value plus var(q) / 2.
        recon = losses.gaussian_nll(mean, jnp.float32(0.0), x)
        recon += 0.5 * jnp.exp(logvar)[:, 0]
        return losses.elbo(recon, losses.kl_analytic(mean, logvar))

    assert bound(jnp.zeros((1, 1)), jnp.zeros((1, 1))) < log_px
    exact_posterior = bound(x / 2, jnp.full((1, 1), math.log(0.5)))
    np.testing.assert_allclose(exact_posterior, log_px, rtol=1e-6)


def test_mean_reduction_is_sum_reduction_divided_by_the_number_of_values():
    per_image = jnp.array([1.0, 2.0, 6.0])
    assert losses.batch_loss(per_image, "sum", 12) == 3.0
    assert losses.batch_loss(per_image, "mean", 12) == 0.25


def test_a_fair_coin_costs_one_bit_per_dimension():
    nats = 784 * math.log(2.0)
    assert losses.nats_to_bits_per_dim(nats, 784) == pytest.approx(1.0)


def test_bits_per_dim_of_a_density_count_the_width_of_a_grey_level():
    # A uniform density over 256 levels of width 1/256 is one in every pixel: zero nats,
    # and eight bits for each level.
    assert losses.nats_to_bits_per_dim(0.0, 10, 1 / 256) == pytest.approx(8.0)
    assert losses.nats_to_bits_per_dim(0.0, 10, 1 / 255) == pytest.approx(
        math.log2(255)
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda a, b: losses.bernoulli_nll(a, b),
            r"bernoulli_nll: shapes must be equal, .* \(2, 3\), targets \(2, 1\)",
        ),
        (
            lambda a, b: losses.gaussian_nll(a, jnp.float32(0), b),
            r"gaussian_nll: shapes must be equal, got mean \(2, 3\), targets \(2, 1\)",
        ),
        (
            lambda a, b: losses.gaussian_nll(a, b, a),
            r"gaussian_nll: .* mean \(2, 3\), log_sigma \(2, 1\)",
        ),
        (
            lambda a, b: losses.continuous_bernoulli_nll(a, b),
            r"bernoulli_nll: .* targets \(2, 1\)",
        ),
        (
            lambda a, b: losses.laplace_nll(a, b, a),
            r"laplace_nll: .* mean \(2, 3\), log_scale \(2, 1\)",
        ),
        (
            lambda a, b: losses.discretized_logistic_nll(a, a, b, 1 / 255),
            r"discretized_logistic_nll: .* targets \(2, 1\)",
        ),
        (
            lambda a, b: losses.kl_analytic(a, b),
            r"kl_analytic: .* mean \(2, 3\), logvar \(2, 1\)",
        ),
        (
            lambda a, b: losses.kl_mc(a.T, a, a),
            r"kl_mc: mean and logvar must .* in z, \[S, B, ...\], got z \(3, 2\), mean",
        ),
        (
            lambda a, b: losses.kl_mc(a[None], a, b),
            r"got z \(1, 2, 3\), mean \(2, 3\), logvar \(2, 1\)",
        ),
        (
            lambda a, b: losses.log_normal(a, a, b),
            r"log_normal: .* logvar \(2, 1\)",
        ),
        (
            lambda a, b: losses.log_mixture(a, a[:, 0], a, b),
            r"log_mixture: shapes must be equal, got mean \(2, 3\), logvar \(2, 1\)",
        ),
        (
            lambda a, b: losses.log_mixture(a, a[:, 0], b, b),
            r"as many dimensions, got z \(2, 3\), mean \(2, 1\)",
        ),
        (
            lambda a, b: losses.elbo(a[:, 0], b),
            r"elbo: .* recon_nll \(2,\), kl \(2, 1\)",
        ),
        (
            lambda a, _: losses.batch_loss(a, "sum", 3),
            r"per_image: must be one loss for each image, got \(2, 3\)",
        ),
        (
            lambda a, b: losses.optimal_log_sigma(a, b),
            r"optimal_log_sigma: .* targets \(2, 1\)",
        ),
    ],
)
def test_shape_mismatch_names_both_shapes(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((2, 3)), jnp.zeros((2, 1)))


def test_unknown_reduction_lists_the_known_ones():
    with pytest.raises(ValueError, match="must be one of sum, mean, got 'batchmean'"):
        losses.batch_loss(jnp.zeros(2), "batchmean", 1)


def test_importing_the_losses_imports_no_heavy_library():
    heavy = "flax tensorflow_datasets matplotlib orbax scipy"
    code = (
        "import sys, vae_jax.losses\n"
        f"print([m for m in {heavy.split()} if m in sys.modules])"
    )
    # jax itself may import scipy: only what it does not is counted.
    bare = code.replace("vae_jax.losses", "jax.numpy")
    seen = [
        subprocess.run(
            [sys.executable, "-c", c], capture_output=True, text=True, check=True
        ).stdout
        for c in (code, bare)
    ]
    assert seen[0] == seen[1]
