"""The importance-weighted bound and its gradients, on a model with closed forms."""

import functools
import math

import jax
import jax.numpy as jnp
import linear
import numpy as np
import pytest
import small
from by_hand import compiled, images, params_of, stages

from vae_jax import losses, objectives, sampling

pytestmark = pytest.mark.usefixtures("unoptimised")
KEYS = 4000
X = jnp.float32([[1.0, -0.5, 2.0], [0.3, 1.5, -1.0]]).reshape(2, *linear.SHAPE)


elbo = functools.cache(
    lambda *kl: compiled(objectives.elbo(*kl), static_argnums=0),
)
weighted = functools.cache(
    lambda *args: compiled(objectives.weighted(*args), static_argnums=0),
)


def value(name, num, params, key, hparams, **fields):
    """Loss and terms of the linear model."""
    return weighted(name, num, "mc", 1)(linear.build(**fields), params, X, key, hparams)


@functools.cache
def gradients(name, num, beta=1.0, exact=False):
    """Of the loss, one for each of many keys: ``[KEYS, ...]`` under each name."""
    from vae_jax.contracts import Hparams

    ones = Hparams(*map(jnp.float32, [1.0] * len(Hparams._fields)))
    hparams = ones._replace(beta=jnp.float32(beta))
    model, objective = linear.build(), objectives.weighted(name, num, "mc", 1)
    params = linear.exact() if exact else linear.params_like(jax.random.key(5))

    def gradient(key):
        loss = lambda p: objective(model, p, X, key, hparams)[0].mean()  # noqa: E731
        return jax.grad(loss)(params)

    keys = jax.random.split(jax.random.key(1), KEYS)
    found = compiled(jax.vmap(gradient))(keys)
    found = {**found["net"], **found["likelihood"]}
    return {
        of: np.asarray(grad, np.float64).reshape(KEYS, -1) for of, grad in found.items()
    }


def z_scores(values):
    """Of the mean over the first axis against 0."""
    spread = values.std(axis=0, ddof=1) / math.sqrt(len(values))
    return abs(values.mean(axis=0)) / spread


def inference(found):
    return np.concatenate([found[name] for name in linear.INFERENCE], axis=1)


def generative(found):
    return {name: found[name] for name in found if name not in linear.INFERENCE}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("mlp", "stl"),
        pytest.param("provae", "dreg", marks=pytest.mark.slow),
        ("resprovae", "iwae"),
    ],
)
def test_one_draw_makes_the_bound_the_elbo(model, name, hparams):
    shape = (8, 8, 1)
    model = small.model(model, shape, stage_loss_scale="none")
    x = jax.random.uniform(jax.random.key(1), (3, *shape))
    params = params_of(model)
    keys = jax.random.split(jax.random.key(3), 3)
    given = (model, params, x, keys, hparams)
    loss, terms = elbo("mc", 1)(*given)
    one = weighted(name, 1, "mc", 1)(*given)
    # float32, and sums in another order
    np.testing.assert_allclose(one[0], loss, rtol=1e-5)
    np.testing.assert_allclose(one[1].pop("iw_bound"), terms["elbo"], rtol=1e-5)
    assert one[1].keys() == terms.keys()
    for of in terms:
        np.testing.assert_allclose(one[1][of], terms[of], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", objectives.ESTIMATORS)
def test_in_the_middle_of_a_fade_the_bound_is_of_its_mixture(name, key, hparams):
    model, x = stages("provae", (4, 4, 1))[-1], images((4, 4, 1))
    params, found = params_of(model), {}
    for alpha in (0.3, 1.0):
        faded = hparams._replace(alpha=jnp.float32(alpha))
        given = (model, params, x, key, faded)
        found[alpha] = elbo("mc", 1)(*given)[0], weighted(name, 1, "mc", 1)(*given)[0]
        # One draw makes it the ELBO; float32, and sums in another order.
        np.testing.assert_allclose(*found[alpha], rtol=1e-5)
    assert (abs(found[0.3][0] - found[1.0][0]) > 0.1).all()


@pytest.mark.parametrize("name", objectives.ESTIMATORS)
@pytest.mark.parametrize("kl", [("analytic", 1), ("mc", 3)])
def test_the_reported_elbo_is_that_of_the_elbo_under_the_same_key(
    key, name, kl, hparams
):
    model, params = linear.build(), linear.params_like(key)
    plain = elbo(*kl)(model, params, X, key, hparams)[1]
    found = weighted(name, 7, *kl)(model, params, X, key, hparams)[1]
    assert found.keys() == {*plain, "iw_bound"}
    for of in plain:
        np.testing.assert_allclose(found[of], plain[of], rtol=1e-5)  # float32


@pytest.mark.parametrize("name", objectives.ESTIMATORS)
def test_the_bound_is_the_log_of_the_mean_weight_of_its_draws(key, name, hparams):
    params, num = linear.params_like(key), 4
    model, (own, _) = linear.build(), sampling.split(key)
    keys = [own, *sampling.split(sampling.fold_in(key, 2), num - 1)]
    weights = []
    for one in keys:
        out = model.apply(params, X, one, 1.0)
        (latent,) = out.latents
        weight = losses.log_normal(latent.z, *latent.prior)
        weight -= losses.log_normal(latent.z, *latent.posterior)
        weight -= losses.gaussian_nll(out.pixels, params["likelihood"]["log_sigma"], X)
        weights.append(np.exp(np.asarray(weight, np.float64)))
    expected = np.log(np.mean(weights, axis=0))
    loss, terms = value(name, num, params, key, hparams)
    np.testing.assert_allclose(terms["iw_bound"], expected, rtol=1e-5)
    np.testing.assert_allclose(loss, -expected, rtol=1e-5)


def test_no_two_draws_share_their_noise(key, hparams):
    # With the first draw's key among the others, the bound of two would be of one.
    one, two = (value("iwae", k, linear.params_like(key), key, hparams) for k in (1, 2))
    assert (abs(one[0] - two[0]) > 1e-3).all()


def test_the_bound_rises_with_its_draws_towards_the_evidence(hparams):
    params = linear.params_like(jax.random.key(5))
    keys = jax.random.split(jax.random.key(1), KEYS)
    model, found = linear.build(), {}
    for num in (1, 4, 16, 256):
        objective = objectives.weighted("iwae", num, "mc", 1)
        bound = lambda k, of=objective: of(model, params, X, k, hparams)[1]["iw_bound"]  # noqa: E731
        found[num] = np.asarray(jax.jit(jax.vmap(bound))(keys), np.float64)
    evidence = linear.log_px(params, X)

    def rises(low, high):
        gap = high - low
        return (gap.mean(axis=0) > 4 * gap.std(axis=0) / math.sqrt(KEYS)).all()

    assert rises(found[1], found[4])
    assert rises(found[4], found[16])
    assert rises(found[16], found[256])
    error = found[256].std(axis=0) / math.sqrt(KEYS)
    assert (found[256].mean(axis=0) < evidence + 4 * error).all()
    # Its gap is half the variance of a weight over K (Domke & Sheldon 2018): small.
    assert (found[256].mean(axis=0) > evidence - 0.05).all()


@pytest.mark.parametrize("name", objectives.ESTIMATORS)
@pytest.mark.parametrize("num", [1, 5])
def test_at_the_posterior_the_bound_is_the_evidence_for_every_draw(
    key, name, num, hparams
):
    loss, terms = value(name, num, linear.exact(), key, hparams)
    evidence = linear.log_px(linear.exact(), X)
    np.testing.assert_allclose(terms["iw_bound"], evidence, rtol=1e-5)  # float32
    np.testing.assert_allclose(loss, -evidence, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "num"), [("stl", 1), ("dreg", 1), ("stl", 5), ("dreg", 5)]
)
def test_at_the_posterior_stl_and_dreg_have_no_noise_and_iwae_has(name, num):
    plain = inference(gradients("iwae", num, exact=True))
    # float32: rounding errors of gradients whose parts are of the order of 1
    assert abs(inference(gradients(name, num, exact=True))).max() < 1e-5
    assert plain.std(axis=0).min() > 1e-2


@pytest.mark.parametrize("name", ["stl", "dreg"])
@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_likelihood_decoder_and_prior_keep_the_gradient_of_every_draw(name, beta):
    plain, other = (generative(gradients(n, 5, beta)) for n in ("iwae", name))
    assert len(plain) == 5
    for of in plain:
        np.testing.assert_allclose(other[of], plain[of], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "num", "beta"),
    [
        ("stl", 1, 1.0),
        ("dreg", 1, 1.0),
        ("dreg", 5, 1.0),
        ("stl", 1, 0.5),
        ("dreg", 5, 0.5),
        ("dreg", 5, 0.0),
    ],
)
def test_a_gradient_without_bias_agrees_with_the_reparameterised_one(name, num, beta):
    gap = inference(gradients(name, num, beta)) - inference(
        gradients("iwae", num, beta)
    )
    if beta == 0:  # log q(z|x) is in no weight, and there is nothing to leave out
        np.testing.assert_allclose(gap, 0.0, atol=1e-4)
    else:
        assert z_scores(gap).max() < 4.5  # of ten parameters


def test_stl_of_several_draws_is_biased():
    gap = inference(gradients("stl", 5)) - inference(gradients("iwae", 5))
    assert z_scores(gap).max() > 20


@pytest.mark.parametrize(("name", "num"), [("stl", 1), ("dreg", 1), ("dreg", 5)])
def test_it_varies_less_near_the_posterior(name, num):
    found = [inference(gradients(n, num)) for n in ("iwae", name)]
    squares = [np.square(of - of.mean(axis=0)).sum(axis=1) for of in found]
    less = squares[0] - squares[1]
    assert less.mean() > 0
    assert z_scores(less[:, None]) > 5


def test_dreg_is_not_stl_where_there_are_several_draws():
    assert (
        abs(inference(gradients("stl", 5)) - inference(gradients("dreg", 5))).max()
        > 0.1
    )


@pytest.mark.parametrize("name", objectives.ESTIMATORS)
def test_beta_and_constants_move_the_loss_and_nothing_that_is_reported(
    key, name, hparams
):
    params = linear.params_like(key)
    plain, terms = value(name, 3, params, key, hparams)
    low, same = value(name, 3, params, key, hparams._replace(beta=jnp.float32(0.5)))
    less, too = value(name, 3, params, key, hparams, include_const=False)
    for of in terms:
        np.testing.assert_allclose(same[of], terms[of], rtol=1e-6)
        np.testing.assert_allclose(too[of], terms[of], rtol=1e-6)
    assert (abs(low - plain) > 1e-3).all()
    np.testing.assert_allclose(plain - less, 1.5 * math.log(2 * math.pi), rtol=1e-5)


@pytest.mark.parametrize("name", objectives.ESTIMATORS)
def test_an_image_alone_has_the_same_loss_and_terms(key, name, hparams):
    params, keys = linear.params_like(key), jax.random.split(key, 2)
    model, objective = linear.build(), objectives.weighted(name, 3, "mc", 2)
    loss, terms = weighted(name, 3, "mc", 2)(model, params, X, keys, hparams)

    def of_one(x, key):
        loss, terms = objective(model, params, x[None], key, hparams)
        return jax.tree.map(lambda values: values[0], (loss, terms))

    alone = compiled(jax.vmap(of_one))(X, keys)
    np.testing.assert_allclose(alone[0], loss, rtol=1e-5)
    for of in terms:
        np.testing.assert_allclose(alone[1][of], terms[of], rtol=1e-5, atol=1e-6)


def test_an_unknown_objective_or_estimator_lists_the_known_ones():
    known = "^objective: must be one of elbo, iwae, stl, dreg, got 'vae'$"
    with pytest.raises(ValueError, match=known):
        objectives.build("vae", "mc", 1, iw_samples=1, tc_images=0)
    known = "^estimator: must be one of iwae, stl, dreg, got 'elbo'$"
    with pytest.raises(ValueError, match=known):
        objectives.weighted("elbo", 1, "mc", 1)


@pytest.mark.parametrize("name", ["elbo", *objectives.ESTIMATORS])
def test_a_name_builds_the_objective_of_that_name(key, name, hparams):
    params, model = linear.params_like(key), linear.build()
    built = objectives.build(name, "mc", 1, iw_samples=3, tc_images=0)
    plain = objectives.elbo("mc", 1)
    if name != "elbo":
        plain = objectives.weighted(name, 3, "mc", 1)
    gradient = lambda of: compiled(  # noqa: E731
        jax.grad(lambda p: of(model, p, X, key, hparams)[0].sum())
    )(params)
    jax.tree.map(np.testing.assert_array_equal, gradient(built), gradient(plain))
