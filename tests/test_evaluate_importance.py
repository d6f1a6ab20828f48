"""The importance-weighted bound against a model whose log p(x) has a closed form."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from by_hand import params_of, stages

from vae_jax import evaluate, losses
from vae_jax.contracts import Latent, Model, Normal, Output
from vae_jax.evaluate import importance

# x = W z + b + noise, with orthogonal columns of W: the posterior is diagonal.
W = np.array([[1.0, 0.5], [1.0, -0.5], [0.0, 0.8], [0.0, 0.0]], np.float32)
W[2, 1] = 0.0  # the columns are (1, 1, 0, 0) and (0.5, -0.5, 0, 0)
B = np.array([0.1, 0.4, 0.2, 0.3], np.float32)
SIGMA = 0.5
SHAPE = (2, 2, 1)
IMAGES = np.random.default_rng(1).normal(0.3, 0.8, (40, *SHAPE)).astype(np.float32)


def linear_gaussian(shift=0.0, stretch=1.0):
    """Its posterior is exact but for a shift of the mean and a factor of the sigma."""
    precision = 1 + np.square(W).sum(axis=0) / SIGMA**2

    def encode(params, x, key, alpha):
        del params, alpha
        flat = x.reshape(len(x), -1)
        mean = (flat - B[None]) @ (W / SIGMA**2 / precision[None]) + shift
        logvar = jnp.broadcast_to(-jnp.log(precision)[None], mean.shape)
        logvar += 2 * math.log(stretch)
        noise = jax.random.normal(key, mean.shape)
        z = mean + jnp.exp(logvar / 2) * noise
        prior = Normal(jnp.zeros_like(mean), jnp.zeros_like(mean))
        return (Latent(z, Normal(mean, logvar), prior),)

    def decode(params, zs, alpha):
        del params, alpha
        return (zs[0] @ W.T + B[None]).reshape(-1, *SHAPE)

    def apply(params, x, key, alpha):
        latents = encode(params, x, key, alpha)
        return Output(decode(params, (latents[0].z,), alpha), latents)

    likelihood = small.likelihood("gaussian", sigma=SIGMA, sigma_learnable=True)
    return Model(
        image_shape=SHAPE,
        z_dims=(W.shape[1],),
        likelihood=likelihood,
        init=lambda key: {"net": {}, "likelihood": likelihood.init()},
        apply=apply,
        encode=encode,
        decode=decode,
        sample_prior=None,
        observe=lambda x: (x, 1.0),
    )


def log_likelihood(images):
    """Log of N(x; b, W W^T + sigma^2 I), in float64."""
    covariance = W.astype(float) @ W.T + SIGMA**2 * np.eye(4)
    centred = images.reshape(-1, 4).astype(float) - B
    mahalanobis = (centred @ np.linalg.inv(covariance) * centred).sum(axis=1)
    return -0.5 * (mahalanobis + np.linalg.slogdet(2 * np.pi * covariance)[1])


def bound(model, hparams, samples, images=IMAGES, batch_size=7):
    function = evaluate.make_bound(model, scale="unit", batch_size=batch_size)
    return function(model.init(None), images, hparams, samples)


@pytest.mark.parametrize("samples", [1, 3, 50])
def test_with_the_true_posterior_every_weight_is_the_likelihood(hparams, samples):
    found = bound(linear_gaussian(), hparams, samples)
    # float32 sums of a few terms of size 1 to 10
    np.testing.assert_allclose(found.bound, log_likelihood(IMAGES), atol=2e-5)
    np.testing.assert_allclose(found.ess, samples, rtol=1e-4)


def test_with_another_proposal_it_comes_near_the_likelihood(hparams):
    found = bound(linear_gaussian(shift=0.2, stretch=1.3), hparams, 4000)
    # Each image's error is about sqrt((1 / share - 1) / K) for a share of ESS / K, and
    # the mean over 40 independent images is sqrt(40) times better.
    share = found.ess / 4000
    assert 0.3 < share.min() < share.max() < 0.99
    error = np.sqrt((1 / share - 1) / 4000)
    off = (found.bound - log_likelihood(IMAGES)) / error
    assert abs(off).max() < 4.5  # standard errors, the largest of 40
    assert abs(off.mean()) * math.sqrt(40) < 4


def test_it_rises_with_the_number_of_samples_from_the_elbo(hparams):
    model, kl = linear_gaussian(shift=0.6), 0.5 * 2 * 0.36
    precision = 1 + np.square(W).sum(axis=0) / SIGMA**2
    gap = 0.5 * (0.36 * precision).sum()  # KL(q || posterior): equal covariances
    assert kl < gap
    many = np.repeat(IMAGES, 15, axis=0)
    truth = log_likelihood(many).mean()
    found = [bound(model, hparams, k, many).bound for k in (1, 5, 50)]
    one, five, fifty = (values.mean() for values in found)
    error = found[0].std() / math.sqrt(len(many))
    # K = 1: log p(x) less the gap, up to the draws' spread within each image too
    assert abs(one - (truth - gap)) < 4 * error
    assert one + 0.5 < five < fifty - 0.1 < truth


def test_the_bound_of_one_sample_in_the_middle_of_a_fade_is_that_of_its_draw(hparams):
    model = stages("provae", (4, 4, 1))[-1]
    params = params_of(model)
    images = np.random.default_rng(0).random((3, 4, 4, 1), np.float32)
    function = evaluate.make_bound(model, scale="unit", batch_size=3)
    found = {
        alpha: function(
            params, images, hparams._replace(alpha=jnp.float32(alpha)), 200
        ).bound
        for alpha in (0.3, 1.0)
    }
    x, keys = jnp.asarray(images), jax.random.split(jax.random.key(1), 200)

    def log_weight(key):
        out = model.apply(params, x, key, jnp.float32(0.3))
        (latent,) = out.latents
        own = model.likelihood_params(params)
        nll = model.likelihood.nll(own, hparams, out.pixels, *model.observe(x))
        log_q = losses.log_normal(latent.z, *latent.posterior)
        return losses.log_prior(latent.z, *latent.prior) - nll - log_q

    logs = jax.lax.map(log_weight, keys)
    expected = jax.nn.logsumexp(logs, axis=0) - math.log(200)
    # Of other draws: two estimates of the same, by far nearer to each other.
    assert abs(found[0.3] - expected).max() < 0.3 * abs(found[1.0] - expected).max()


def test_the_pieces_of_samples_make_no_difference(hparams, monkeypatch):
    model = linear_gaussian(shift=0.2)
    whole = bound(model, hparams, 11)
    monkeypatch.setattr(importance, "PIXELS_AT_ONCE", 4 * 7 * 4)  # four samples
    pieces = bound(model, hparams, 11)
    # float32: sums in another order
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), whole, pieces
    )


@pytest.mark.parametrize(
    ("floats_per_pixel", "at_once"),
    [(1, 12), (3, 4), (100, 1)],  # 12 samples of 7 images of 4 pixels fit
)
def test_fewer_samples_are_decoded_at_once_of_a_model_that_takes_more_memory(
    floats_per_pixel, at_once, hparams, monkeypatch
):
    model = linear_gaussian(shift=0.2)._replace(floats_per_pixel=floats_per_pixel)
    seen, bound_of_image = [], importance._bound

    def remember(log_weights, key, samples, at_once):
        seen.append(at_once)
        return bound_of_image(log_weights, key, samples, at_once)

    monkeypatch.setattr(importance, "_bound", remember)
    monkeypatch.setattr(importance, "PIXELS_AT_ONCE", 4 * 7 * 12)
    bound(model, hparams, 5, IMAGES[:7], batch_size=7)
    assert seen == [at_once]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0, 0, 0, 0, 1, 1, 1, 1], math.log(0.5)),
        ([1, 1, 1, 1, 0, 0, 0, 0], math.log(0.5)),
        ([0] * 8, -math.inf),
    ],
)
@pytest.mark.parametrize("at_once", [1, 4, 8])
def test_draws_of_no_weight_leave_the_others_theirs(weights, expected, at_once):
    given = iter(np.split(np.float32(weights), 8 // at_once))

    def log_weights(keys):
        assert len(keys) == at_once
        return jnp.log(jnp.asarray(next(given)))

    with jax.disable_jit():
        found = importance._bound(log_weights, jax.random.key(0), 8, at_once)
    assert float(found.bound) == pytest.approx(expected)


def test_an_image_has_the_same_draws_in_any_batch(hparams):
    model = linear_gaussian(shift=0.2)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5),  # float32
        bound(model, hparams, 5, batch_size=40),
        bound(model, hparams, 5, batch_size=3),
    )


def test_groups_of_latents_all_count_as_in_a_plain_loop(hparams, key):
    model = stages("resprovae", (4, 4, 1))[-1]
    params = params_of(model)
    x = np.random.default_rng(0).integers(0, 2, (1, 4, 4, 1)).astype(np.float32)
    function = evaluate.make_bound(model, scale="unit", batch_size=1)
    found, x = function(params, x, hparams, 3), jnp.asarray(x)
    image_key = jax.random.fold_in(jax.random.key(evaluate.SEED), 0)
    weights = []
    for k in range(3):
        out = model.apply(params, x, jax.random.fold_in(image_key, k), 1.0)
        assert len(out.latents) > 1
        log_weight = -losses.bernoulli_nll(out.pixels, x)[0]
        for of in out.latents:
            log_weight += losses.log_normal(of.z, *of.prior)[0]
            log_weight -= losses.log_normal(of.z, *of.posterior)[0]
        weights.append(float(log_weight))
    largest = max(weights)
    shares = np.exp(np.array(weights) - largest)
    expected = largest + math.log(shares.mean())
    # float32: sums of terms of size 100
    assert found.bound[0] == pytest.approx(expected, rel=1e-5)
    ess = shares.sum() ** 2 / np.square(shares).sum()
    assert found.ess[0] == pytest.approx(ess, rel=1e-3)


def test_no_samples_are_refused(hparams):
    with pytest.raises(ValueError, match="samples: must be at least 1, got 0"):
        bound(linear_gaussian(), hparams, 0)
