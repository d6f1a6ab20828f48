"""Active units, KL of each dimension, and the parts of the KL."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from by_hand import params_of, stages
from scipy import stats

from vae_jax import evaluate, losses
from vae_jax.contracts import Normal, Trained
from vae_jax.evaluate import latents as module

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).random((11, *SHAPE)).astype(np.float32)
SIZES = {"scale": "unit", "batch_size": 4}


def mlp():
    return small.model("mlp", SHAPE, z_dim=3)


def test_one_group_has_no_ancestors_to_draw(hparams, key):
    model = mlp()
    params = params_of(model)
    assert model.z_dims == (3,)
    (found,) = evaluate.posteriors(Trained(model, params, hparams), IMAGES, **SIZES)
    (latent,) = model.encode(params, jnp.asarray(IMAGES), None, 1.0)
    # float32: another batch size may mean another order of sums
    np.testing.assert_allclose(found.mean, latent.posterior.mean, rtol=1e-5, atol=1e-6)
    kl = losses.kl_analytic(*latent.posterior)
    np.testing.assert_allclose(found.kl.sum(axis=1), kl, rtol=1e-5)
    by_dimension = 0.5 * (
        np.square(latent.posterior.mean)
        + np.exp(latent.posterior.logvar)
        - latent.posterior.logvar
        - 1
    )
    np.testing.assert_allclose(found.kl, by_dimension, rtol=1e-4, atol=1e-6)


def test_a_finer_group_is_a_mean_over_draws_of_the_coarser(hparams):
    model = stages("resprovae", SHAPE)[-1]
    params = params_of(model)
    found = evaluate.posteriors(Trained(model, params, hparams), IMAGES, **SIZES)
    assert len(found) == model.num_stages > 1
    assert len(model.z_dims) == len(found)
    row, expected = 5, []
    key = jax.random.fold_in(jax.random.key(evaluate.SEED), row)
    for own in jax.random.split(key, module.ANCESTORS):
        latents = model.encode(params, jnp.asarray(IMAGES[row : row + 1]), own, 1.0)
        expected.append([latent.posterior.mean[0] for latent in latents])
    means = [np.mean(draws, axis=0) for draws in zip(*expected, strict=True)]
    for group, mean in zip(found, means, strict=True):
        np.testing.assert_allclose(group.mean[row], mean, rtol=1e-4, atol=1e-5)
    first, second = (np.array([draw[i] for draw in expected]) for i in (0, 1))
    assert second.std(axis=0).max() > 1e-3  # or the draws would prove nothing
    noise = second.var(axis=0, ddof=1) / module.ANCESTORS
    np.testing.assert_allclose(found[1].noise[row], noise, rtol=1e-3, atol=1e-9)
    assert np.ptp(first, axis=0).max() == 0 == found[0].noise[row].max()


def test_posteriors_are_those_in_the_middle_of_a_fade(hparams):
    model = stages("provae", SHAPE)[-1]
    params = params_of(model)
    x = jnp.asarray(IMAGES)
    means = []
    for alpha in (0.3, 1.0):
        of = Trained(model, params, hparams._replace(alpha=jnp.float32(alpha)))
        (found,) = evaluate.posteriors(of, IMAGES, **SIZES)
        (latent,) = model.encode(params, x, None, jnp.float32(alpha))
        # float32: another batch size may mean another order of sums
        mean = latent.posterior.mean
        np.testing.assert_allclose(found.mean, mean, rtol=1e-4, atol=1e-5)
        means.append(found.mean)
    assert abs(means[0] - means[1]).max() > 1e-3


def latent_of(mean, sigma, seed=0):
    """A draw for each row of ``mean``, from N(mean, sigma^2), under N(0, I)."""
    noise = np.random.default_rng(seed).normal(size=mean.shape)
    logvar = np.full(mean.shape, 2 * math.log(sigma))
    arrays = mean + sigma * noise, mean, logvar
    z, mean, logvar = (a.astype(np.float32) for a in arrays)
    log_prior = stats.norm.logpdf(z).sum(axis=1).astype(np.float32)
    return evaluate.Draw(z, Normal(mean, logvar), log_prior)


@pytest.mark.parametrize(
    ("corners", "mutual_information", "total_correlation"),
    [
        # So far apart that no draw could be another's: log of their number.
        ([[1, 1], [-1, -1]], math.log(2), math.log(2)),  # z_1 tells z_2
        ([[1, 1], [1, -1], [-1, 1], [-1, -1]], math.log(4), 0.0),  # independent
        ([[1, 0], [-1, 0]], math.log(2), 0.0),
        ([[1, 1]], 0.0, 0.0),
    ],
)
def test_posteriors_far_apart_have_whole_parts(
    corners, mutual_information, total_correlation
):
    found = evaluate.decompose_kl(latent_of(30.0 * np.array(corners), 1.0))
    # float32 log-densities of size 10 and, to the prior, 1000
    np.testing.assert_allclose(found.mutual_information, mutual_information, atol=1e-4)
    np.testing.assert_allclose(found.total_correlation, total_correlation, atol=1e-4)


def test_parts_of_gaussians_have_their_closed_forms():
    rng, sigma, num = np.random.default_rng(3), 0.8, 4000
    mixing = np.array([[0.9, 0.4], [0.0, 0.6]])
    means = rng.normal(size=(num, 2)) @ mixing
    found = evaluate.decompose_kl(latent_of(means, sigma))
    # q(z) is near N(0, S), and would be with infinitely many images.
    total = np.cov(means.T) + sigma**2 * np.eye(2)
    entropy = 0.5 * np.linalg.slogdet(total / sigma**2)[1]
    correlation = 0.5 * (np.log(np.diag(total)).sum() - np.linalg.slogdet(total)[1])
    variances = np.diag(total)
    rest = 0.5 * (variances - 1 - np.log(variances)).sum()
    for values, expected in [
        (found.mutual_information, entropy),
        (found.total_correlation, correlation),
        (found.dimension_wise_kl, rest),
    ]:
        error = values.std() / math.sqrt(num)
        # 0.01: a mixture of 4000 is not quite a Gaussian, about e^MI / N
        assert abs(values.mean() - expected) < 4 * error + 0.01
    assert entropy > 0.5
    assert correlation > 0.03


def test_the_parts_add_up_to_the_kl_of_the_draw():
    latent = latent_of(np.random.default_rng(5).normal(size=(30, 3)), 0.5)
    found = evaluate.decompose_kl(latent)
    expected = losses.kl_mc(*map(jnp.asarray, (latent.z[None], *latent.posterior)))
    np.testing.assert_allclose(sum(found), expected, rtol=1e-4, atol=1e-4)  # float32


@pytest.mark.parametrize("numbers", [9 * 2 * 4, 1])  # four rows at once, and one
def test_the_parts_are_those_of_a_plain_loop_in_any_pieces(numbers, monkeypatch):
    latent = latent_of(np.random.default_rng(7).normal(size=(9, 2)), 0.7)
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", numbers)
    found = evaluate.decompose_kl(latent)
    z, (mean, _) = latent.z.astype(float), latent.posterior
    density = np.exp(-0.5 * ((z[:, None] - mean[None]) / 0.7) ** 2)
    density /= 0.7 * math.sqrt(2 * math.pi)
    joint, each = density.prod(axis=2).mean(axis=1), density.mean(axis=1).prod(axis=1)
    own = np.array([density[i, i].prod() for i in range(9)])
    prior = np.exp(-0.5 * z**2).prod(axis=1) / (2 * math.pi)
    # float32
    np.testing.assert_allclose(found.mutual_information, np.log(own / joint), atol=1e-5)
    np.testing.assert_allclose(found.total_correlation, np.log(joint / each), atol=1e-5)
    np.testing.assert_allclose(found.dimension_wise_kl, np.log(each / prior), atol=1e-5)


def test_draws_have_the_posterior_they_came_from(hparams):
    model = mlp()
    params = params_of(model)
    images = np.repeat(IMAGES[:1], 2000, axis=0)
    (latent,) = evaluate.draw_latents(
        Trained(model, params, hparams), images, scale="unit", batch_size=500
    )
    standard = (latent.z - latent.posterior.mean) * np.exp(-latent.posterior.logvar / 2)
    assert latent.z.shape == (2000, 3)
    assert abs(standard.mean(axis=0)).max() < 4 / math.sqrt(2000)
    assert abs(standard.var(axis=0) - 1).max() < 4 * math.sqrt(2 / 2000)
