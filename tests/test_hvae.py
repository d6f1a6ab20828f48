"""Two levels of latents."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from by_hand import compiled, params_of
from scipy import special, stats

from vae_jax import evaluate, losses, objectives
from vae_jax.contracts import Trained

pytestmark = pytest.mark.usefixtures("unoptimised")
SHAPE = (4, 3, 1)
SIZES = {
    "z_dim": (2, 3),
    "hidden_dim": 7,
    "hidden_layers": 2,
    "activation": "gated",
    "init": "he",
    "logvar_range": (-2.0, 1.0),
    "pseudo_mean": 0.5,
}
IMAGES = np.random.default_rng(0).random((6, *SHAPE)).astype(np.float32)
X = jnp.asarray(IMAGES)


@functools.cache
def build(shape=SHAPE, recon="bce", name="hvae", **changes):
    return small.model(name, shape, recon, **(SIZES | changes))


def dense(layer, h):
    return h @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


def hidden(layers, h):
    """Gated layers, one after the other."""
    for i in range(len(layers) // 2):
        gate = special.expit(dense(layers[f"gate_{i}"], h))
        h = dense(layers[f"Dense_{i}"], h) * gate
    return h


def joint(layers, *inputs):
    each = [hidden(layers[f"hidden_{i}"], h) for i, h in enumerate(inputs)]
    return hidden(layers["joint"], np.concatenate(each, axis=1))


def heads(net, h):
    return dense(net["heads"]["mean"], h), dense(net["heads"]["logvar"], h).clip(-2, 1)


def assert_close(actual, desired):
    np.testing.assert_allclose(actual, desired, rtol=1e-4, atol=1e-5)  # float32


def test_every_part_is_as_published_written_out_by_hand(key):
    model = build()
    params = params_of(model)
    net, flat = params["net"], IMAGES.reshape(6, -1)
    out = compiled(model.apply)(params, X, key, 1.0)
    top, fine = out.latents
    z2, z1 = np.asarray(top.z), np.asarray(fine.z)
    assert (z2.shape, z1.shape) == ((6, 2), (6, 3))

    own = net["top_encoder"]
    h = hidden(own["layers"]["hidden"], flat)
    jax.tree.map(assert_close, tuple(top.posterior), heads(own, h))
    own = net["encoder"]
    h = joint(own["layers"], flat, z2)
    jax.tree.map(assert_close, tuple(fine.posterior), heads(own, h))
    own = net["top_decoder"]
    h = hidden(own["layers"]["hidden"], z2)
    jax.tree.map(assert_close, tuple(fine.prior), heads(own, h))
    own = net["decoder"]
    h = joint(own["layers"], z2, z1)
    assert_close(out.pixels.reshape(6, -1), dense(own["pixels"], h))
    np.testing.assert_array_equal(top.prior, np.zeros((2, 6, 2)))


def gated(inputs, outputs):
    """Numbers in a gated layer: weights and biases, twice."""
    return 2 * (inputs * outputs + outputs)


def linear(inputs, outputs):
    return inputs * outputs + outputs


@pytest.mark.parametrize("prior", ["standard", "mixture", "vamp"])
def test_the_published_hvae_has_its_number_of_parameters(prior, key):
    size = {"z_dim": 40, "hidden_dim": 300, "prior_components": 500, "prior": prior}
    model = build((28, 20, 1), "discretized_logistic", **size)
    posterior = 2 * linear(300, 40)
    expected = {
        "top_encoder": gated(560, 300) + gated(300, 300) + posterior,
        "encoder": gated(560, 300) + gated(40, 300) + gated(600, 300) + posterior,
        "top_decoder": gated(40, 300) + gated(300, 300) + posterior,
        "decoder": 2 * gated(40, 300) + gated(600, 300) + 2 * linear(300, 560),
    }
    expected |= {
        "standard": {},
        "mixture": {"prior": 2 * 500 * 40},
        "vamp": {"prior": 500 * 560},
    }[prior]
    params = jax.eval_shape(model.init, key)
    found = {
        name: sum(leaf.size for leaf in jax.tree.leaves(of))
        for name, of in params["net"].items()
    }
    assert found == expected
    assert (
        sum(found.values())
        == {
            "standard": 2_263_360,
            "mixture": 2_303_360,
            "vamp": 2_543_360,
        }[prior]
    )


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_every_way_from_an_input_has_as_many_layers(layers, key):
    net = jax.eval_shape(build(hidden_layers=layers).init, key)["net"]

    def depth(of, name):
        return len(of.get("layers", {}).get(name, {})) // 2

    assert depth(net["top_encoder"], "hidden") == layers
    assert depth(net["top_decoder"], "hidden") == layers
    for name in ("encoder", "decoder"):
        ways = [depth(net[name], f"hidden_{i}") for i in range(2)]
        assert [way + depth(net[name], "joint") for way in ways] == [layers] * 2


@pytest.mark.parametrize("prior", ["standard", "mixture", "vamp"])
def test_the_elbo_is_log_p_of_everything_less_log_q(prior, key, hparams):
    model = build(prior=prior)
    params = params_of(model)
    loss, terms = objectives.elbo("mc", 1)(model, params, X, key, hparams)
    out = model.apply(params, X, jax.random.split(key)[0], 1.0)
    top, fine = out.latents
    q = losses.log_normal(top.z, *top.posterior)
    q += losses.log_normal(fine.z, *fine.posterior)
    p = losses.log_prior(top.z, *top.prior) + losses.log_normal(fine.z, *fine.prior)
    p -= losses.bernoulli_nll(out.pixels, X)
    np.testing.assert_allclose(terms["elbo"], p - q, rtol=1e-5)  # float32
    np.testing.assert_allclose(loss, q - p, rtol=1e-5)
    groups = terms["kl_group_0"] + terms["kl_group_1"]
    np.testing.assert_allclose(groups, terms["kl"], rtol=1e-6)


def test_where_z2_says_nothing_z1_has_a_standard_prior(key, hparams):
    model = build()
    params = params_of(model)
    nothing = jax.tree.map(jnp.zeros_like, params["net"]["top_decoder"]["heads"])
    params["net"]["top_decoder"]["heads"] = nothing
    _, fine = model.encode(params, X, key, 1.0)
    np.testing.assert_array_equal(fine.prior, jnp.zeros((2, 6, 3)))
    _, terms = objectives.elbo("analytic", 1)(model, params, X, key, hparams)
    _, own = model.encode(params, X, jax.random.split(key)[0], 1.0)
    expected = losses.kl_analytic(*own.posterior)
    np.testing.assert_allclose(terms["kl_group_1"], expected, rtol=1e-5)


def test_samples_of_the_finer_group_follow_from_the_top(key):
    model = build()
    params = params_of(model)
    top = jnp.broadcast_to(jnp.array([[0.7, -1.2]]), (20_000, 2))
    same, z1 = compiled(model.complete)(params, key, top)
    np.testing.assert_array_equal(same, top)
    own = params["net"]["top_decoder"]
    h = hidden(own["layers"]["hidden"], np.asarray(top[:1]))
    mean, logvar = heads(own, h)
    for j in range(3):
        expected = stats.norm(mean[0, j], math.exp(logvar[0, j] / 2))
        assert stats.kstest(np.asarray(z1[:, j]), expected.cdf).pvalue > 1e-4
    drawn = model.sample_prior(params, key, 5)
    assert [z.shape for z in drawn] == [(5, 2), (5, 3)]


def test_both_levels_of_a_sample_have_noise_of_their_own(key):
    model = build(z_dim=(3, 3))
    params = params_of(model)
    top, fine = compiled(model.sample_prior, static_argnums=2)(params, key, 20_000)
    own = params["net"]["top_decoder"]
    mean, logvar = heads(own, hidden(own["layers"]["hidden"], np.asarray(top)))
    noise = (np.asarray(fine) - mean) * np.exp(-logvar / 2)
    # Independent, the mean of as many products is 0 but for 1 / sqrt(20,000).
    products = np.asarray(top).T @ noise / 20_000
    assert abs(products).max() < 4.5 / math.sqrt(20_000)


def test_an_image_s_draws_depend_on_its_own_key_alone(key):
    model = build(prior="vamp")
    params, keys = params_of(model), jax.random.split(key, 6)
    together = model.apply(params, X, keys, 1.0)
    for i in (0, 4):
        alone = model.apply(params, X[i : i + 1], keys[i : i + 1], 1.0)
        for one, of in zip(alone.latents, together.latents, strict=True):
            assert_close(one.z[0], of.z[i])
    same = model.encode(params, X, jnp.repeat(keys[:1], 6), 1.0)
    other = model.encode(params, X, keys, 1.0)
    noise = [
        (of.z - of.posterior.mean) * jnp.exp(-of.posterior.logvar / 2)
        for of in (*same, *other)
    ]
    assert_close(noise[0], jnp.repeat(noise[0][:1], 6, axis=0))
    assert abs(noise[0][0, 0] - noise[1][0, 0]) > 1e-3  # each level has its own
    assert abs(noise[2][0] - noise[2][1]).max() > 1e-3


def test_the_weighted_bound_is_that_of_a_plain_loop(hparams):
    model = build(prior="vamp")
    params = params_of(model)
    x = (IMAGES[:1] > 0.5).astype(np.float32)
    function = evaluate.make_bound(model, scale="unit", batch_size=1)
    found, x = function(params, x, hparams, 4), jnp.asarray(x)
    image_key = jax.random.fold_in(jax.random.key(evaluate.SEED), 0)
    weights = []
    for k in range(4):
        out = model.apply(params, x, jax.random.fold_in(image_key, k), 1.0)
        (z2, q2, mixed, _), (z1, q1, p1, _) = out.latents
        log_scale = np.exp(np.asarray(mixed.logvar, np.float64) / 2)
        each = stats.norm.pdf(np.asarray(z2), np.asarray(mixed.mean), log_scale)
        weight = math.log(each.prod(axis=1).mean()) + losses.log_normal(z1, *p1)[0]
        weight -= losses.log_normal(z2, *q2)[0] + losses.log_normal(z1, *q1)[0]
        weights.append(float(weight - losses.bernoulli_nll(out.pixels, x)[0]))
    expected = special.logsumexp(weights) - math.log(4)
    assert found.bound[0] == pytest.approx(expected, rel=1e-5)  # float32


@pytest.mark.parametrize("prior", ["standard", "vamp"])
def test_latents_of_both_levels_are_evaluated(prior, hparams):
    model = build(prior=prior)
    of, sizes = Trained(model, params_of(model), hparams), {"scale": "unit"}
    found = evaluate.posteriors(of, IMAGES, batch_size=4, **sizes)
    assert [group.kl.shape for group in found] == [(6, 2), (6, 3)]
    assert model.z_dims == (2, 3)
    assert all(np.isfinite(part).all() for group in found for part in group)
    assert (found[1].kl > 0).all()  # exact given z2, whatever the prior of z2
    top, fine = evaluate.draw_latents(of, IMAGES, batch_size=4, **sizes)
    total = sum(evaluate.decompose_kl(top))
    assert fine.log_prior.shape == (6,)
    prior = model.encode(of.params, jnp.asarray(IMAGES), None, 1.0)[0].prior
    arrays = map(jnp.asarray, (top.z[None], *top.posterior, *prior))
    np.testing.assert_allclose(total, losses.kl_mc(*arrays), rtol=1e-4, atol=1e-4)
