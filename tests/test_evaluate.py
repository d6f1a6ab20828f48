"""Terms over a whole set, and what is said about them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from by_hand import params_of, stages

from vae_jax import evaluate, objectives, pixels
from vae_jax.contracts import Trained

SHAPE = (6, 5, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (23, *SHAPE)).astype(np.uint8)


@pytest.fixture
def model():
    return small.model("mlp", SHAPE)


def recon_at_mean(model, params, x):
    """Recon and KL without any draw: what does not depend on the batches."""
    out = model.apply(params, x, None, 1.0)
    return model.likelihood.nll({}, None, out.pixels, x, 1.0)


def no_draws(model, params, x, key, hparams):
    del key, hparams
    recon = recon_at_mean(model, params, x)
    return recon, {"recon": recon, "kl": recon, "elbo": -recon}


def test_the_objective_is_evaluated_at_the_numbers_given(model, key, hparams):
    def tell(model, params, x, key, hparams):
        return x, {of: number[None] for of, number in hparams._asdict().items()}

    terms = evaluate.make_terms(model, tell, scale="unit", batch_size=5)
    given = type(hparams)(*map(jnp.float32, range(len(hparams))))
    found = terms(model.init(key), IMAGES, given)
    assert set(found) == set(hparams._fields)
    for of, number in given._asdict().items():
        np.testing.assert_array_equal(found[of], np.full(len(IMAGES), number))


@pytest.mark.parametrize("batch_size", [1, 5, 23, 100])
def test_every_image_counts_once_whatever_the_batch_size(
    model, key, hparams, batch_size
):
    params = model.init(key)
    terms = evaluate.make_terms(model, no_draws, scale="unit", batch_size=batch_size)
    found = terms(params, IMAGES, hparams)
    expected = recon_at_mean(model, params, jnp.asarray(IMAGES, jnp.float32) / 255)
    assert found["recon"].shape == (23,)
    np.testing.assert_allclose(found["recon"], expected, rtol=1e-5)  # float32


def test_evaluation_draws_latents_for_each_image_that_nothing_else_decides(
    model, key, hparams
):
    params, objective = model.init(key), objectives.elbo("mc", 1)
    found = [
        evaluate.make_terms(model, objective, scale="unit", batch_size=size)(
            params, images, hparams
        )["recon"]
        for size, images in [(5, IMAGES), (23, IMAGES), (23, IMAGES[:7])]
    ]
    # float32: another batch size may mean another order of sums
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    np.testing.assert_allclose(found[1][:7], found[2], rtol=1e-5)
    terms = evaluate.make_terms(model, objective, scale="unit", batch_size=5)
    same = terms(params, np.repeat(IMAGES[:1], 10, axis=0), hparams)
    assert len(set(same["recon"].tolist())) == 10  # ten latents of one image


def test_any_number_of_images_takes_one_compilation(model, key, hparams):
    params, traced = model.init(key), []

    def counted(*args):
        traced.append(1)
        return no_draws(*args)

    terms = evaluate.make_terms(model, counted, scale="unit", batch_size=10)
    for size in (23, 10, 3):
        terms(params, IMAGES[:size], hparams)
    assert len(traced) == 1


def test_the_standard_error_is_that_of_a_mean():
    found = evaluate.estimate(np.array([1.0, 2.0, 3.0, 6.0]))
    # Sample variance (4 + 1 + 0 + 9) / 3 about the mean of 3.
    assert found == pytest.approx((3.0, math.sqrt(14 / 3 / 4), 4))


def test_a_single_image_has_no_standard_error():
    assert math.isnan(evaluate.estimate(np.array([1.0])).standard_error)


@pytest.mark.parametrize(
    ("likelihood", "binary", "whole", "kind"),
    [
        ("binary", True, True, "probability_mass"),
        ("binary", False, True, "cross_entropy"),
        ("mass", True, True, "probability_mass"),
        ("mass", False, True, "probability_mass"),
        ("mass", False, False, "cross_entropy"),
        ("density", True, True, "density"),
        ("density", False, True, "density"),
        ("density", False, False, "cross_entropy"),
    ],
)
def test_the_bound_is_a_likelihood_only_where_the_pixels_are_possible_draws(
    likelihood, binary, whole, kind
):
    assert evaluate.bound_kind(likelihood, binary, whole) == kind


def test_no_bits_per_dim_of_a_cross_entropy():
    elbo = evaluate.Estimate(-100.0, 1.0, 10)
    assert evaluate.bits_per_dim(elbo, "cross_entropy", 784, "unit") is None


def test_bits_per_dim_of_a_mass_and_of_densities():
    elbo = evaluate.Estimate(-30 * math.log(2), 3 * math.log(2), 7)
    mass = evaluate.bits_per_dim(elbo, "probability_mass", 30, "unit")
    assert mass == pytest.approx((1.0, 0.1, 7))
    unit = evaluate.bits_per_dim(elbo, "density", 30, "unit")
    assert unit == pytest.approx((1.0 + math.log2(255), 0.1, 7))
    centred = evaluate.bits_per_dim(elbo, "density", 30, "centred")
    assert centred == pytest.approx((9.0, 0.1, 7))


def test_pictures_show_probabilities(model, key, hparams):
    params, x = model.init(key), jnp.asarray(IMAGES, jnp.float32) / 255
    (means,) = evaluate.posterior_means(
        Trained(model, params, hparams), np.asarray(x), scale="unit", batch_size=10
    )
    recons = evaluate.reconstruct(model, params, x, hparams)
    expected = jax.nn.sigmoid(model.decode(params, (jnp.asarray(means),), 1.0))
    np.testing.assert_allclose(recons, expected, rtol=1e-5)
    decoded = evaluate.decode_means(model, params, (means,), hparams)
    np.testing.assert_allclose(decoded, expected, rtol=1e-5)
    samples = evaluate.sample_means(model, params, key, 9, hparams)
    assert samples.shape == (9, *SHAPE)
    assert ((samples > 0) & (samples < 1)).all()


@pytest.mark.parametrize("scale", ["unit", "centred"])
def test_posterior_means_are_those_of_the_scaled_images(model, key, hparams, scale):
    params = model.init(key)
    found = evaluate.posterior_means(
        Trained(model, params, hparams), IMAGES, scale=scale, batch_size=10
    )
    x = pixels.to_float(jnp.asarray(IMAGES), scale)
    expected = [latent.posterior.mean for latent in model.encode(params, x, None, 1.0)]
    assert len(found) == len(expected) == 1
    # float32: another batch size may mean another order of sums
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-5)


def test_images_of_latents_are_their_means_whatever_the_batches(model, key, hparams):
    params, zs = model.init(key), (np.random.default_rng(0).normal(size=(7, 2)),)
    zs = (zs[0].astype(np.float32),)
    found = evaluate.images_of(
        Trained(model, params, hparams), zs, batch_size=3, draw=False
    )
    expected = evaluate.decode_means(model, params, zs, hparams)
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # float32


def test_images_may_be_draws(model, key, hparams):
    params, zs = model.init(key), (np.zeros((2000, 2), np.float32),)
    found = evaluate.images_of(
        Trained(model, params, hparams), zs, batch_size=500, draw=True
    )
    mean = evaluate.decode_means(model, params, (zs[0][:1],), hparams)
    assert set(np.unique(found)) == {0.0, 1.0}
    # Standard errors of the share of 2000 draws, the largest of 30 pixels.
    error = np.sqrt(mean * (1 - mean) / 2000)
    assert (abs(found.mean(axis=0, keepdims=True) - mean) / error).max() < 4.5


@pytest.mark.parametrize("name", ["mlp", "hvae", "resprovae"])
def test_the_noise_of_pixels_is_not_that_of_their_latents(name, key, hparams):
    model = small.model(name, SHAPE, "gaussian")
    of = Trained(model, model.init(key), hparams)
    images = np.repeat(IMAGES[:1], 2000, axis=0)
    drawn = evaluate.draw_latents(of, images, scale="unit", batch_size=500)
    zs = tuple(latent.z for latent in drawn)
    noise = [
        evaluate.images_of(of, zs, batch_size=500, draw=draw) for draw in (True, False)
    ]
    pixels = (noise[0] - noise[1]).reshape(2000, -1)[:, :2]
    for latent in drawn:
        mean, logvar = latent.posterior
        latents = (latent.z - mean) * np.exp(-logvar / 2)
        correlation = (pixels * latents).mean(axis=0)
        assert abs(correlation).max() < 4 / 2000**0.5


def test_products_of_evaluations_are_those_of_float32_whatever_training_has():
    def products(x, rows):
        return str(jax.make_jaxpr(jnp.dot)(x, x)), rows

    x, found = np.zeros((2, 2), np.float32), []
    with jax.default_matmul_precision("bfloat16"):
        evaluate.in_batches(lambda *of: found.append(products(*of)) or of[1], x, 2)
        outside, _ = products(x, x)
    assert "Precision.HIGHEST" in found[0][0]
    assert "Precision.HIGHEST" not in outside


def test_images_and_latents_in_the_middle_of_a_fade_are_of_its_mixture(key, hparams):
    model = stages("provae", (4, 4, 1))[-1]
    params, x = params_of(model), np.random.default_rng(0).random((3, 4, 4, 1))
    x, alpha, sizes = x.astype(np.float32), jnp.float32(0.3), {"batch_size": 3}
    of = Trained(model, params, hparams._replace(alpha=alpha))

    (mean,) = evaluate.posterior_means(of, x, scale="unit", **sizes)
    mean = jnp.asarray(mean)
    (drawn,) = evaluate.draw_latents(of, x, scale="unit", **sizes)
    (z,) = model.sample_prior(params, key, 3)
    reconstructed = evaluate.reconstruct(model, params, jnp.asarray(x), of.hparams)
    decoded = evaluate.decode_means(model, params, (z,), of.hparams)
    sampled = evaluate.sample_means(model, params, key, 3, of.hparams)
    together = evaluate.images_of(of, (np.asarray(z),), **sizes, draw=False)

    def expected(alpha):
        posterior = model.encode(params, jnp.asarray(x), None, alpha)[0].posterior.mean
        from_mean, from_z = (model.decode(params, (of,), alpha) for of in (mean, z))
        images = jax.nn.sigmoid(from_mean), *[jax.nn.sigmoid(from_z)] * 3
        return posterior, posterior, *images

    found = mean, drawn.posterior.mean, reconstructed, decoded, sampled, together
    for a, b, other in zip(found, expected(alpha), expected(1.0), strict=True):
        # float32: another batch size may mean another order of sums
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        assert abs(a - other).max() > 1e-2


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_mean_that_is_not_finite_has_no_error_and_no_warning(value):
    mean, error, n = evaluate.estimate(np.float32([1.0, value]))
    np.testing.assert_equal((mean, error, n), (value, math.nan, 2))


def test_latents_of_samples_are_of_float32_s_products(key):
    model = small.model("hvae", (4, 4, 1))
    params, asked = model.init(key), []

    def remember(*_):
        asked.append(jax.config.jax_default_matmul_precision)
        return jnp.zeros((2, 2)), jnp.zeros((2, 2))

    model = model._replace(sample_prior=remember, complete=remember)
    of = Trained(model, params, None)
    assert len(evaluate.from_prior(of, key, 2)) == 2
    assert len(evaluate.completed(of, key, np.zeros((2, 2), np.float32))) == 2
    assert asked == ["float32"] * 2


def test_active_units_are_those_whose_mean_varies_enough():
    signs = np.array([-1.0, 1.0] * 50)
    # Variances 0, 0.0081, 0.0121 and 1, about means that do not matter.
    means = signs[:, None] * [0.0, 0.09, 0.11, 1.0] + [0.0, 5.0, 5.0, -5.0]
    assert evaluate.active_units(means) == 2
    # Of which the noise of estimates is no part.
    noise = np.tile([0.0, 0.0, 0.01, 0.01], (100, 1))
    assert evaluate.active_units(means, noise) == 1
