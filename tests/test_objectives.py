"""The objective: which number each knob moves, and which it leaves alone."""

import math

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
import small

from vae_jax import losses, objectives

SHAPE = (4, 3, 1)


def setup(key, recon="gaussian", **likelihood):
    model = small.model("mlp", SHAPE, recon, **likelihood)
    x = jax.random.uniform(jax.random.fold_in(key, 1), (5, *SHAPE))
    return model, jax.jit(model.init)(key), x


def terms_of(key, hparams, kl="analytic", kl_samples=1, **likelihood):
    model, params, x = setup(key, **likelihood)
    objective = objectives.elbo(kl, kl_samples)
    run = jax.jit(objective, static_argnums=0)
    loss, terms = run(model, params, x, jax.random.fold_in(key, 2), hparams)
    return {"loss": loss, **terms}


def assert_only_changes(before, after, *changed):
    for name in before:
        same = np.array_equal(before[name], after[name])
        assert same == (name not in changed), name


def test_the_loss_is_recon_plus_kl_and_the_elbo_its_negative(key, hparams):
    terms = terms_of(key, hparams)
    assert {name: value.shape for name, value in terms.items()} == dict.fromkeys(
        ("loss", "recon", "kl", "elbo"), (5,)
    )
    np.testing.assert_allclose(terms["loss"], terms["recon"] + terms["kl"], rtol=1e-6)
    np.testing.assert_array_equal(terms["elbo"], -(terms["recon"] + terms["kl"]))


def test_terms_agree_with_the_model_taken_apart_by_hand(key, hparams):
    model, params, x = setup(key)
    out = model.apply(params, x, jax.random.split(jax.random.fold_in(key, 2))[0], 1.0)
    (latent,) = out.latents
    mean, var = latent.posterior.mean, jnp.exp(latent.posterior.logvar)
    recon = 0.5 * ((x - out.pixels) ** 2 + math.log(2 * math.pi)).sum(axis=(1, 2, 3))
    kl = 0.5 * (mean**2 + var - jnp.log(var) - 1).sum(axis=1)
    terms = terms_of(key, hparams)
    np.testing.assert_allclose(terms["recon"], recon, rtol=1e-5)
    np.testing.assert_allclose(terms["kl"], kl, rtol=1e-4)


def test_beta_weighs_the_kl_in_the_loss_and_leaves_the_elbo_alone(key, hparams):
    plain = terms_of(key, hparams)
    heavy = terms_of(key, hparams._replace(beta=jnp.float32(4.0)))
    assert_only_changes(plain, heavy, "loss")
    np.testing.assert_allclose(
        heavy["loss"] - plain["loss"], 3 * plain["kl"], rtol=1e-4
    )


def test_include_const_moves_the_loss_by_the_constant_and_nothing_else(key, hparams):
    full = terms_of(key, hparams)
    less = terms_of(key, hparams, include_const=False)
    assert_only_changes(full, less, "loss")
    np.testing.assert_allclose(
        full["loss"] - less["loss"], 12 * 0.5 * math.log(2 * math.pi), rtol=1e-5
    )


def test_sigma_changes_recon_and_leaves_the_kl_alone(key, hparams):
    wide = terms_of(key, hparams)
    narrow = terms_of(key, hparams._replace(sigma=jnp.float32(0.1)))
    assert_only_changes(wide, narrow, "loss", "recon", "elbo")


def test_recon_changes_the_reconstruction_term_and_leaves_the_kl_alone(key, hparams):
    gaussian, bce = (terms_of(key, hparams, recon=r) for r in ("gaussian", "bce"))
    assert_only_changes(gaussian, bce, "loss", "recon", "elbo")


def test_the_kl_estimator_changes_the_kl_and_leaves_recon_alone(key, hparams):
    analytic = terms_of(key, hparams)
    one = terms_of(key, hparams, kl="mc", kl_samples=1)
    many = terms_of(key, hparams, kl="mc", kl_samples=50)
    assert_only_changes(analytic, one, "loss", "kl", "elbo")
    assert_only_changes(one, many, "loss", "kl", "elbo")


def test_one_monte_carlo_draw_is_the_one_that_was_decoded(key, hparams):
    model, params, x = setup(key)
    out = model.apply(params, x, jax.random.split(jax.random.fold_in(key, 2))[0], 1.0)
    (latent,) = out.latents
    expected = losses.kl_mc(latent.z[None], *latent.posterior)
    terms = terms_of(key, hparams, kl="mc", kl_samples=1)
    np.testing.assert_allclose(terms["kl"], expected, rtol=1e-5, atol=1e-6)


def test_many_monte_carlo_draws_agree_with_the_analytic_kl(key, hparams):
    analytic = terms_of(key, hparams)["kl"]
    draws = 4000
    monte_carlo = terms_of(key, hparams, kl="mc", kl_samples=draws)["kl"]
    # log q - log p is (mean^2 + ...)-like, with a spread of less than 2 nats for these
    # two-dimensional posteriors near the prior: four standard errors.
    np.testing.assert_allclose(monte_carlo, analytic, atol=4 * 2 / math.sqrt(draws))


def test_gradients_through_both_estimators_agree_on_average(key, hparams):
    model, params, x = setup(key)

    def gradient(kl, key):
        objective = objectives.elbo(kl, 1)
        loss = lambda p: objective(model, p, x, key, hparams)[0].mean()  # noqa: E731
        return jax.flatten_util.ravel_pytree(jax.grad(loss)(params))[0]

    keys = jax.random.split(key, 2000)
    difference = lambda k: gradient("mc", k) - gradient("analytic", k)  # noqa: E731
    gap = jax.jit(jax.vmap(difference))(keys)
    standard_error = gap.std(axis=0) / math.sqrt(len(keys))
    # Over about 200 parameters the largest of the z-scores stays below five.
    assert (abs(gap.mean(axis=0)) < 5 * standard_error + 1e-7).all()


def test_an_unknown_kl_estimator_lists_the_known_ones():
    with pytest.raises(ValueError, match="must be one of analytic, mc, got 'exact'"):
        objectives.elbo("exact", 1)
