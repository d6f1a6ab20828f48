"""What may be made of the KL: free bits, a capacity, a weight of the correlation."""

import math

import jax
import jax.numpy as jnp
import linear
import numpy as np
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree

from vae_jax import losses, objectives
from vae_jax.contracts import Latent, Normal
from vae_jax.evaluate import Draw, decompose_kl
from vae_jax.objectives.evidence import bounded

X = jnp.float32([[1.0, -0.5, 2.0], [0.3, 1.5, -1.0]]).reshape(2, *linear.SHAPE)


def with_(hparams, **numbers):
    return hparams._replace(**{of: jnp.float32(v) for of, v in numbers.items()})


def of_linear(key, hparams, kl="analytic", tc_images=0):
    """Loss, terms, and the gradient of the mean loss."""
    model, objective = linear.build(), objectives.elbo(kl, 1, tc_images)
    params = linear.params_like(jax.random.key(5))

    @jax.jit
    def run(params, hparams):
        def mean_loss(params):
            loss, terms = objective(model, params, X, key, hparams)
            return loss.mean(), (loss, terms)

        grads, (loss, terms) = jax.grad(mean_loss, has_aux=True)(params)
        return loss, terms, grads

    loss, terms, grads = run(params, hparams)
    return loss, terms, ravel_pytree(grads)[0]


def latent(kls, weight=1.0):
    """A group of one latent whose KL is these: a unit variance away from its prior."""
    mean = jnp.sqrt(2 * jnp.float32(kls))[:, None]
    zero = jnp.zeros_like(mean)
    return Latent(mean, Normal(mean, zero), Normal(zero, zero), weight)


def pressure(kls, hparams, weights):
    """Of groups with these KLs, and its gradient by their posteriors' means."""
    latents = [latent(of, w) for of, w in zip(kls, weights, strict=True)]

    def total(means):
        kls = [losses.kl_analytic(mean, jnp.zeros_like(mean)) for mean in means]
        each = bounded(latents, kls, hparams)
        return each.mean(), each

    means = [of.posterior.mean for of in latents]
    grads, each = jax.grad(total, has_aux=True)(means)
    return each, grads


@pytest.mark.parametrize("kl", ["analytic", "mc"])
def test_all_of_it_is_off_by_default(kl, hparams):
    loss, terms, _ = of_linear(jax.random.key(0), hparams, kl)
    # Estimates from one draw may be negative, in the mean over the batch, too.
    assert kl == "analytic" or terms["kl"].mean() < 0
    np.testing.assert_allclose(loss, terms["recon"] + terms["kl"], rtol=1e-6)


@pytest.mark.parametrize(
    ("numbers", "tc_images"),
    [({"free_bits": 5.0}, 0), ({"capacity": 5.0}, 0), ({"tc_weight": 5.0}, 100)],
)
def test_it_changes_the_loss_and_nothing_that_is_reported(
    key, hparams, numbers, tc_images
):
    plain = of_linear(key, hparams)
    other = of_linear(key, with_(hparams, **numbers), tc_images=tc_images)
    assert abs(plain[0] - other[0]).max() > 0.1
    assert plain[1].keys() == other[1].keys()
    for of in plain[1]:
        np.testing.assert_allclose(other[1][of], plain[1][of], rtol=1e-6)


def test_a_group_below_its_free_bits_counts_as_having_them_and_gets_no_gradient(
    hparams,
):
    kls = [[0.1, 0.7], [1.0, 3.0]]  # means of 0.4 and 2.0
    hparams = with_(hparams, free_bits=0.5)
    each, (below, above) = pressure(kls, hparams, [1.0, 1.0])
    np.testing.assert_allclose(each, [0.5 + 1.0, 0.5 + 3.0], rtol=1e-6)
    np.testing.assert_array_equal(below, 0.0)
    # Half of d(m^2 / 2)/dm, as there are two images, also of that with less than 0.5.
    np.testing.assert_allclose(above[:, 0], np.sqrt([2.0, 6.0]) / 2, rtol=1e-6)


def test_free_bits_are_of_the_batch_and_not_of_each_image(hparams):
    hparams = with_(hparams, free_bits=0.5)
    each, (above,) = pressure([[0.1, 2.0]], hparams, [1.0])
    np.testing.assert_allclose(each, [0.1, 2.0], rtol=1e-6)
    assert (above > 0).all()


def test_free_bits_come_before_the_weight_of_a_group_and_before_beta(key, hparams):
    each, _ = pressure([[0.1, 0.1]], with_(hparams, free_bits=0.5), [0.25])
    np.testing.assert_allclose(each, 0.125, rtol=1e-6)
    loss, terms, _ = of_linear(key, with_(hparams, free_bits=50, beta=4))
    np.testing.assert_allclose(loss, terms["recon"] + 4 * 50.0, rtol=1e-6)


def test_below_its_free_bits_a_model_has_the_gradient_of_the_likelihood_alone(
    key, hparams
):
    free = of_linear(key, with_(hparams, free_bits=50))[2]
    alone = of_linear(key, with_(hparams, beta=0))[2]
    np.testing.assert_allclose(free, alone, rtol=1e-6, atol=1e-7)
    assert abs(free - of_linear(key, hparams)[2]).max() > 0.1


def test_the_loss_has_the_distance_of_each_kl_to_the_capacity(key, hparams):
    loss, terms, _ = of_linear(key, with_(hparams, capacity=2.0, beta=10))
    distance = abs(terms["kl"] - 2.0)
    assert (terms["kl"] < 2.0).any()
    np.testing.assert_allclose(loss, terms["recon"] + 10 * distance, rtol=1e-5)


def test_at_its_capacity_the_kl_has_no_pressure_and_is_pulled_there_from_both_sides(
    hparams,
):
    kls = jnp.float32([1.0, 2.0, 4.0])
    exact = losses.kl_analytic(latent(kls).posterior.mean, jnp.zeros((3, 1)))
    hparams = hparams._replace(capacity=exact[1])
    each, (grad,) = pressure([kls], hparams, [1.0])
    np.testing.assert_allclose(each, [1.0, 0.0, 2.0], rtol=1e-5)
    assert grad[0] < 0
    assert grad[1] == 0
    assert grad[2] > 0


def test_a_capacity_is_of_all_groups_in_sum(hparams):
    hparams = with_(hparams, capacity=2.0)
    each, _ = pressure([[1.0, 3.0], [0.5, 4.0]], hparams, [1.0, 0.5])
    np.testing.assert_allclose(each, [0.75, 3.0], rtol=1e-6)


def total_correlation_by_hand(z, mean, logvar, num_images):
    """Chen et al. 2018, minibatch-weighted sampling, image by image in float64."""
    num, dims = z.shape
    scale, pairs = np.exp(0.5 * np.float64(logvar)), num_images * num
    found = []
    for i in range(num):
        densities = scipy.stats.norm.pdf(z[i], mean, scale)  # [posterior, dim]
        joint = math.log(densities.prod(axis=1).sum() / pairs)
        each = sum(math.log(densities[:, d].sum() / pairs) for d in range(dims))
        found.append(joint - each)
    return found


def posteriors(num=5, dims=3):
    keys = jax.random.split(jax.random.key(0), 3)
    return tuple(jax.random.normal(of, (num, dims)) for of in keys)


def test_the_total_correlation_is_that_of_minibatch_weighted_sampling():
    given = posteriors()
    expected = total_correlation_by_hand(*map(np.asarray, given), 60)
    found = losses.total_correlation(*given, 60)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_over_all_images_it_is_that_of_the_decomposition_but_for_its_level():
    # There, q(z) has weights 1/N; here 1/(N M), once in the joint and D times in the
    # marginals: with M = N, (D - 1) log N more.
    z, mean, logvar = posteriors()
    parts = decompose_kl(Draw(z, Normal(mean, logvar), np.zeros(len(z), np.float32)))
    found = losses.total_correlation(z, mean, logvar, 5)
    level = 2 * math.log(5)
    np.testing.assert_allclose(found, parts.total_correlation + level, rtol=1e-5)


def test_posteriors_that_are_all_alike_and_independent_have_the_level_alone():
    z = jax.random.normal(jax.random.key(0), (4, 3))
    found = losses.total_correlation(z, jnp.zeros_like(z), jnp.zeros_like(z), 10)
    np.testing.assert_allclose(found, 2 * math.log(10), rtol=1e-5)


def test_its_level_has_no_gradient():
    of_mean = jax.grad(lambda m, z, v, n: losses.total_correlation(z, m, v, n).sum())
    z, mean, logvar = posteriors()
    np.testing.assert_array_equal(
        of_mean(mean, z, logvar, 10), of_mean(mean, z, logvar, 1000)
    )


def test_a_weight_of_one_leaves_the_loss_as_it_is(key, hparams):
    plain = of_linear(key, hparams, "mc")
    same = of_linear(key, hparams, "mc", tc_images=100)
    np.testing.assert_allclose(same[0], plain[0], rtol=1e-6)
    np.testing.assert_allclose(same[2], plain[2], rtol=1e-4, atol=1e-6)


def test_the_weight_counts_the_total_correlation_and_beta_all_of_the_kl(key, hparams):
    hparams = with_(hparams, tc_weight=6.0, beta=0.5)
    loss, terms, _ = of_linear(key, hparams, "mc", tc_images=100)
    model, params = linear.build(), linear.params_like(jax.random.key(5))
    (of,) = model.apply(params, X, jax.random.split(key)[0], 1.0).latents
    tc = total_correlation_by_hand(*map(np.asarray, (of.z, *of.posterior)), 100)
    # beta-TCVAE: recon + MI + 6 TC + dimension-wise KL, whose sum without the 6 is kl
    expected = terms["recon"] + 0.5 * (terms["kl"] + 5 * np.asarray(tc))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_the_mean_loss_with_a_weight_is_the_same_for_either_kl(hparams):
    # Of estimates, it is that of Chen et al., whose MI and dimension-wise KL it has.
    hparams = with_(hparams, tc_weight=3.0)
    model, params = linear.build(), linear.params_like(jax.random.key(5))

    def loss(kl, key):
        return objectives.elbo(kl, 1, 100)(model, params, X, key, hparams)[0]

    keys = jax.random.split(jax.random.key(3), 4000)
    gap = jax.jit(jax.vmap(lambda k: loss("mc", k) - loss("analytic", k)))(keys)
    gap = np.asarray(gap, np.float64)
    assert (abs(gap.mean(axis=0)) < 4 * gap.std(axis=0) / math.sqrt(4000)).all()


def test_latents_that_say_the_same_have_a_higher_total_correlation():
    z = jax.random.normal(jax.random.key(0), (64, 1))
    logvar = jnp.full((64, 2), -2.0)
    noise = jnp.exp(-1.0) * jax.random.normal(jax.random.key(1), (64, 2))

    def tc(*means):
        mean = jnp.concatenate(means, axis=1)
        return losses.total_correlation(mean + noise, mean, logvar, 64).mean()

    assert tc(z, z) > tc(z, 0 * z) + 0.2
