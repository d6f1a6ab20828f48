"""Learned priors of the coarsest latents."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from by_hand import compiled, params_of
from scipy import special, stats

from vae_jax import evaluate, losses, models, objectives
from vae_jax.contracts import Mixture, Trained

pytestmark = pytest.mark.usefixtures("unoptimised")
SHAPE = (4, 3, 1)
SIZES = {
    "channels": (4,),
    "activation": "gated",
    "init": "he",
    "logvar_range": (-6.0, 2.0),
    "pseudo_mean": 0.5,
    "pseudo_std": 0.02,
}
LEARNED = ("mixture", "vamp")
IMAGES = np.random.default_rng(0).random((30, *SHAPE)).astype(np.float32)
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name == "conv_hvae" else name
    for name in models.BUILDERS
    if name not in models.GROWING
]


@functools.cache
def build(prior, name="mlp", **changes):
    return small.model(name, SHAPE, prior=prior, **(SIZES | changes))


def top_of(model, params, x=IMAGES[:2], key=None):
    return model.encode(params, jnp.asarray(x), key, 1.0)[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prior", LEARNED)
def test_a_learned_prior_is_one_mixture_for_all_images(prior, name, key):
    model = build(prior, name)
    params = compiled(model.init)(key)
    for num in (1, 3):
        found = top_of(model, params, IMAGES[:num]).prior
        assert isinstance(found, Mixture)
        assert found.mean.shape == found.logvar.shape == (5, 2)
        assert special.logsumexp(found.log_weights) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_vampprior_is_the_mean_of_the_posteriors_at_the_pseudo_inputs(name):
    model = build("vamp", name)
    params = params_of(model)
    inputs = params["net"]["prior"]["pseudo_inputs"]
    assert ((inputs < 0) | (inputs > 1)).any()  # which are clipped
    mean, logvar = top_of(model, params, inputs.clip(0, 1)).posterior
    z = np.random.default_rng(1).normal(size=(6, 2))
    scale = np.exp(np.asarray(logvar, np.float64) / 2)
    density = stats.norm.pdf(z[:, None], np.asarray(mean), scale).prod(axis=2)
    found = losses.log_prior(jnp.asarray(z, jnp.float32), *top_of(model, params).prior)
    # float32
    np.testing.assert_allclose(found, np.log(density.mean(axis=1)), rtol=1e-4)


def test_pseudo_inputs_begin_around_the_given_value(key):
    model = build("vamp", prior_components=400)
    inputs = model.init(key)["net"]["prior"]["pseudo_inputs"]
    assert inputs.shape == (400, *SHAPE)
    assert inputs.size == 4800
    assert abs(inputs.mean() - 0.5) < 4 * 0.02 / math.sqrt(4800)
    assert abs(inputs.std() / 0.02 - 1) < 4 / math.sqrt(2 * 4800)


def test_a_mixture_begins_near_the_standard_normal(key):
    model = build("mixture", prior_components=400)
    (z,) = model.sample_prior(model.init(key), key, 20_000)
    # Means of variance 0.1, known to sqrt(2 / 800) of it, and 0.9 about them.
    assert abs(z.mean()) < 4 * (math.sqrt(0.1 / 800) + 1 / math.sqrt(40_000))
    assert abs(z.var() - 1) < 4 * (0.1 * math.sqrt(2 / 800) + math.sqrt(2 / 40_000))
    prior = top_of(model, model.init(key)).prior
    standard = losses.log_prior(z, jnp.zeros_like(z), jnp.zeros_like(z))
    assert abs(losses.log_prior(z, *prior) - standard).mean() < 0.05


@pytest.mark.parametrize("prior", LEARNED)
def test_samples_are_distributed_as_the_density_says(prior, key):
    model = build(prior)
    params = params_of(model)
    _, mean, logvar = top_of(model, params).prior
    z = np.asarray(
        jax.jit(model.sample_prior, static_argnums=2)(params, key, 20_000)[0]
    )
    for j in range(2):
        scale = np.exp(logvar[:, j] / 2)

        def cdf(values, mean=mean[:, j], scale=scale):
            return stats.norm.cdf(values[:, None], mean, scale).mean(axis=1)

        assert stats.kstest(z[:, j], cdf).pvalue > 1e-4
    # And dimensions go together as in the components.
    between = np.cov(np.asarray(mean).T, bias=True) + np.diag(np.exp(logvar).mean(0))
    products = (z - z.mean(axis=0)).prod(axis=1)
    error = products.std() / math.sqrt(len(z))
    assert abs(products.mean() - between[0, 1]) < 4.5 * error


def test_the_noise_of_a_sample_does_not_know_its_component(key):
    model = build("mixture", prior_components=2)
    mean = jnp.float32([[-100, -100], [100, 100]])  # so each sample tells its own
    params = {"net": {"prior": {"mean": mean, "logvar": jnp.zeros((2, 2))}}}
    (z,) = model.sample_prior(params, key, 10_000)
    noise = z - 100 * jnp.sign(z)
    for side in (z[:, 0] < 0, z[:, 0] > 0):
        num = side.sum()
        assert abs(num - 5000) < 4 * math.sqrt(10_000) / 2
        assert (abs(noise[side].mean(axis=0)) < 4 / math.sqrt(num)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prior", LEARNED)
def test_the_loss_moves_every_parameter_of_the_prior(prior, name, key, hparams):
    model = build(prior, name)
    params = compiled(model.init)(key)
    keys = jax.random.split(key, len(IMAGES))
    objective = objectives.elbo("mc", 2)

    def loss(params):
        return objective(model, params, jnp.asarray(IMAGES), keys, hparams)[0].mean()

    grads = compiled(jax.grad(loss))(params)["net"]["prior"]
    for grad in jax.tree.leaves(grads):
        assert np.isfinite(grad).all()
        assert (abs(grad) > 0).mean() > 0.9


def test_the_kl_to_a_mixture_is_the_log_ratio_of_the_densities(key, hparams):
    model = build("vamp")
    params, x = params_of(model), jnp.asarray(IMAGES)
    _, terms = objectives.elbo("mc", 1)(model, params, x, key, hparams)
    draw_key, _ = jax.random.split(key)
    latent = top_of(model, params, x, draw_key)
    _, mean, logvar = (np.asarray(a, np.float64) for a in latent.prior)
    z = np.asarray(latent.z, np.float64)
    own_mean, own_logvar = (np.asarray(a, np.float64) for a in latent.posterior)
    log_q = stats.norm.logpdf(z, own_mean, np.exp(own_logvar / 2)).sum(axis=1)
    each = stats.norm.logpdf(z[:, None], mean, np.exp(logvar / 2)).sum(axis=2)
    expected = log_q - special.logsumexp(each, axis=1) + math.log(5)
    np.testing.assert_allclose(terms["kl"], expected, rtol=1e-3, atol=1e-4)  # float32


def test_the_kl_of_a_latent_is_that_to_the_mixture_s_marginal(hparams):
    model = build("vamp")
    params = params_of(model)
    images = np.repeat(IMAGES[:1], 4000, axis=0)
    of, sizes = Trained(model, params, hparams), {"scale": "unit", "batch_size": 2000}
    (found,) = evaluate.posteriors(of, images, **sizes)
    latent = top_of(model, params, IMAGES[:1])
    _, mean, logvar = (np.asarray(a, np.float64) for a in latent.prior)
    grid = np.linspace(-15, 15, 20_001)
    for j in range(2):
        own_mean, own_logvar = (float(a[0, j]) for a in latent.posterior)
        q = stats.norm(own_mean, math.exp(own_logvar / 2))
        scale = np.exp(logvar[:, j] / 2)
        p = stats.norm.pdf(grid[:, None], mean[:, j], scale).mean(axis=1)
        expected = (q.pdf(grid) * (q.logpdf(grid) - np.log(p))).sum() * 30 / 20_000
        error = found.kl[:, j].std() / math.sqrt(4000)
        assert abs(found.kl[:, j].mean() - expected) < 4 * error


def test_the_prior_of_drawn_latents_is_of_float32_s_products(hparams):
    model, asked = build("vamp"), []

    def encode(*given):
        asked.append(jax.config.jax_default_matmul_precision)
        return model.encode(*given)

    of = Trained(model._replace(encode=encode), params_of(model), hparams)
    evaluate.draw_latents(of, IMAGES, scale="unit", batch_size=7)
    assert asked == ["float32"]


@pytest.mark.parametrize("prior", LEARNED)
def test_the_parts_of_the_kl_add_up_to_that_of_the_draw(prior, hparams):
    model = build(prior)
    of = Trained(model, params_of(model), hparams)
    (latent,) = evaluate.draw_latents(of, IMAGES, scale="unit", batch_size=7)
    told = []
    found = evaluate.decompose_kl(latent, told.append)
    assert told[-1] == len(IMAGES)
    z = jnp.asarray(latent.z)
    expected = losses.kl_mc(
        z[None], *map(jnp.asarray, latent.posterior), *top_of(model, of.params).prior
    )
    np.testing.assert_allclose(sum(found), expected, rtol=1e-4, atol=1e-4)  # float32


@pytest.mark.parametrize("name", models.GROWING)
def test_a_model_that_grows_has_no_learned_prior(name):
    message = f"model.prior: must be standard with model.name={name}, got 'vamp'"
    with pytest.raises(ValueError, match=message):
        build("vamp", name, start_res=2, final_res=4)


def test_an_unknown_prior_lists_the_known_ones():
    known = "standard, mixture, vamp"
    with pytest.raises(ValueError, match=f"model.prior: must be one of {known}, got"):
        build("flow")
