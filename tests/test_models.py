"""What every model promises, for every image size."""

import functools
import math
import re

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
import small
from by_hand import compiled, images, params_of

from vae_jax import models
from vae_jax.models import cnn

pytestmark = pytest.mark.usefixtures("unoptimised")
SHAPES = [(28, 20, 1), (8, 8, 1), (7, 5, 3), (1, 1, 1)]
SIZES = {"z_dim": 3, "hidden_dim": 16}


def record(name, shape=(8, 8, 1), stage=-1, **changes):
    """A model, or the stage of one that grows: of three, and by default the last."""
    final_res = next(res for res in (4, 8, 16, 32) if res >= max(shape[:2]))
    sizes = SIZES | {"start_res": final_res // 4, "final_res": final_res}
    return small.model(name, shape, stage=stage, **(sizes | changes))


@functools.cache
def build(name, *args, **changes):
    """``record`` with its functions compiled."""
    model = record(name, *args, **changes)
    functions = ("init", "apply", "encode", "decode")
    return model._replace(**{f: compiled(getattr(model, f)) for f in functions})


NUM_GROUPS = {"resprovae": 3, "hvae": 2, "conv_hvae": 2}


def count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def moved(params, key):
    """Parameters in the neighbourhood, none of them zero."""
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    return unravel(flat + 0.1 * jax.random.normal(key, flat.shape))


# What it shares with hvae is tested there, and it takes longest to compile.
AT_LENGTH = [
    pytest.param(name, marks=pytest.mark.slow) if name == "conv_hvae" else name
    for name in models.BUILDERS
]


@pytest.fixture(params=AT_LENGTH)
def name(request):
    return request.param


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_one_output_and_one_posterior_for_every_pixel_and_image(name, shape, key):
    model = record(name, shape)
    x = jnp.zeros((2, *shape))
    out = jax.eval_shape(lambda k: model.apply(model.init(k), x, k, 1.0), key)
    assert out.pixels.shape == (2, *shape)
    assert len(out.latents) == NUM_GROUPS.get(name, 1)
    for latent in out.latents:
        for part in (latent.z, *latent.posterior, *latent.prior):
            assert part.shape == (2, 3)
    assert model.image_shape == shape


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_parameter_and_every_pixel_takes_part(name, shape, key):
    stages = [record(name, shape, s) for s in range(record(name, shape).num_stages)]
    # Small enough for every exponential of a log-variance.
    params = jax.tree.map(lambda leaf: 0.3 * leaf, params_of(stages[-1]))
    x = images(shape, num=4)

    def total(params, x):
        outs = [model.apply(params, x, key, 0.5) for model in stages]
        pixels = sum(jnp.square(out.pixels).sum() for out in outs)
        latents = [latent for out in outs for latent in out.latents]
        parts = [part for of in latents for part in (*of.posterior, *of.prior)]
        return pixels + sum(map(jnp.sum, parts))

    to_params, to_x = compiled(jax.grad(total, argnums=(0, 1)))(params, x)
    used = jax.tree.map(lambda g: np.any(g) and np.isfinite(g).all(), to_params)
    assert all(jax.tree.leaves(used)), used
    if name == "mlp":  # a convolution of stride 2 may leave a corner to dead ReLUs
        assert np.asarray(to_x).all()


def test_no_two_layers_begin_alike(name, key):
    begun = jax.tree.leaves(build(name).init(key)["net"])
    # Of any shape, the first weight is the first of a key's numbers, scaled by inputs.
    inputs = [math.prod(leaf.shape[:-1]) for leaf in begun]
    firsts = [
        round(float(leaf.ravel()[0]) * math.sqrt(num), 5)
        for leaf, num in zip(begun, inputs, strict=True)
        if leaf.any()  # biases begin at 0, as do the outputs of finer stages
    ]
    assert len(set(firsts)) == len(firsts) > 3


def test_decode_agrees_with_the_forward_pass(name, key):
    model = build(name)
    params = model.init(key)
    x = jax.random.uniform(key, (2, 8, 8, 1))
    out = model.apply(params, x, key, 1.0)
    zs = tuple(latent.z for latent in out.latents)
    np.testing.assert_allclose(model.decode(params, zs, 1.0), out.pixels, rtol=1e-6)


def test_encode_agrees_with_the_forward_pass(name, key):
    model = build(name)
    params = model.init(key)
    x = jax.random.uniform(key, (2, 8, 8, 1))
    forward, encoded = (
        model.apply(params, x, key, 1.0).latents,
        model.encode(params, x, key, 1.0),
    )
    jax.tree.map(np.testing.assert_array_equal, forward, encoded)


def test_without_a_key_every_latent_is_its_posterior_mean(name, key):
    model = build(name)
    params = model.init(key)
    for latent in model.encode(params, jnp.ones((2, 8, 8, 1)), None, 1.0):
        np.testing.assert_array_equal(latent.z, latent.posterior.mean)


def test_keys_decide_the_latents_and_nothing_else_does(name, key):
    model = build(name)
    params = model.init(key)
    x = jnp.ones((2, 8, 8, 1))
    first, again, other = (
        model.encode(params, x, k, 1.0)[0].z for k in (key, key, jax.random.key(1))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])  # same image, its own noise


def test_samples_of_the_prior_are_standard_normal(name, key):
    model = build(name)
    zs = model.sample_prior(model.init(key), key, 10_000)
    assert model.z_dims == tuple(z.shape[1] for z in zs)
    z = jnp.concatenate(zs[:1] if model.complete else zs, axis=1)
    assert z.shape == (10_000, 9 if name == "resprovae" else 3)
    assert (abs(z.mean(axis=0)) < 4 / 100).all()  # four standard errors
    # Of 10,000 draws; between two latents no more than chance makes of none at all.
    np.testing.assert_allclose(jnp.cov(z.T), jnp.eye(z.shape[1]), rtol=0, atol=0.056)


def test_with_remat_the_gradient_computes_activations_again(name, key):
    x = jnp.zeros((2, 8, 8, 1))

    def products(remat):
        """Those of the gradient of all pixels."""
        model = record(name, remat=remat)

        def total(params):
            return model.apply(params, x, key, 0.5).pixels.sum()

        params = jax.eval_shape(model.init, key)
        return jax.jit(jax.grad(total)).lower(params).as_text().count("dot_general")

    assert products(remat=True) > products(remat=False)


def test_many_posterior_draws_are_a_vmap_over_keys(name, key):
    model = build(name)
    params = model.init(key)
    x = jax.random.uniform(key, (2, 8, 8, 1))
    keys = jax.random.split(key, 3)
    together = jax.vmap(lambda k: model.apply(params, x, k, 1.0).pixels)(keys)
    for k, pixels in zip(keys, together, strict=True):
        one = model.apply(params, x, k, 1.0).pixels
        # float32: the batched product may add in another order
        np.testing.assert_allclose(pixels, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_last_stage_observes_the_image_itself(name, shape):
    x = images(shape)
    target, weight = record(name, shape).observe(x)
    np.testing.assert_array_equal(target, x)
    np.testing.assert_array_equal(weight, np.ones_like(weight))


def test_images_of_a_batch_do_not_mix(name, key):
    model = build(name)
    params = model.init(key)
    x = jax.random.uniform(key, (3, 8, 8, 1))
    whole = model.encode(params, x, None, 1.0)[0].z
    alone = model.encode(params, x[1:2], None, 1.0)[0].z
    np.testing.assert_allclose(whole[1:2], alone, rtol=1e-4, atol=1e-6)  # float32


def test_hidden_layers_of_the_mlp_add_one_dense_layer_on_each_side(key):
    none, two = (count(build("mlp", hidden_layers=n).init(key)) for n in (0, 2))
    # 64 pixels, 16 wide, 3 latents; weights and biases of every dense layer.
    assert none == 2 * (64 * 3 + 3) + (3 * 64 + 64)
    encoder = (64 * 16 + 16) + (16 * 16 + 16) + 2 * (16 * 3 + 3)
    decoder = (3 * 16 + 16) + (16 * 16 + 16) + (16 * 64 + 64)
    assert two == encoder + decoder


def test_a_gated_layer_is_a_linear_one_times_the_sigmoid_of_another(key):
    model = build("mlp", activation="gated")
    params = jax.tree.map(lambda leaf: leaf + 0.1, model.init(key))
    x = jax.random.uniform(key, (2, 8, 8, 1))
    own = params["net"]["encoder"]

    def dense(layer, h):
        return np.asarray(h) @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])

    hidden, flat = own["hidden"], x.reshape(2, -1)
    gate = 1 / (1 + np.exp(-dense(hidden["gate_0"], flat)))
    expected = dense(own["heads"]["mean"], dense(hidden["Dense_0"], flat) * gate)
    found = model.encode(params, x, None, 1.0)[0].posterior.mean
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # float32
    # Twice the layer of 64 x 16, and of 3 x 16, that there is without gates.
    more = count(params) - count(build("mlp").init(key))
    assert more == (64 * 16 + 16) + (3 * 16 + 16)


def test_tanh_stands_where_a_relu_would(key):
    model = build("mlp", activation="tanh")
    params = moved(model.init(key), key)
    x = jax.random.uniform(key, (2, 8, 8, 1))
    own = params["net"]["encoder"]

    def dense(layer, h):
        return np.asarray(h) @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])

    h = np.tanh(dense(own["hidden"]["Dense_0"], x.reshape(2, -1)))
    found = model.encode(params, x, None, 1.0)[0].posterior.mean
    np.testing.assert_allclose(found, dense(own["heads"]["mean"], h), rtol=1e-5)
    assert count(params) == count(build("mlp").init(key))


@pytest.mark.parametrize("name", ["mlp", "cnn", "hvae"])
def test_models_with_tanh_are_odd_where_nothing_has_a_bias(name, key):
    model = build(name, activation="tanh")
    params = model.init(key)  # biases begin at zero
    x = jax.random.normal(key, (2, 8, 8, 1))
    there, back = (model.apply(params, of, None, 1.0).pixels for of in (x, -x))
    np.testing.assert_allclose(there, -back, rtol=1e-5, atol=1e-6)  # float32
    assert abs(there).max() > 1e-3


def test_glorot_initialisation_is_uniform_within_its_bound(key):
    net = build("mlp", (28, 20, 1), hidden_dim=400, init="glorot").init(key)["net"]
    kernel = np.asarray(net["encoder"]["hidden"]["Dense_0"]["kernel"])
    bound = (6 / (560 + 400)) ** 0.5
    # The largest of 224,000 uniform draws is within 1e-4 of the bound but once in
    # e^22; their variance, bound^2 / 3, is known to sqrt(4/5 / 224,000), 0.2 %.
    assert bound * (1 - 1e-4) < abs(kernel).max() < bound * (1 + 1e-6)  # float32
    np.testing.assert_allclose(kernel.var(), bound**2 / 3, rtol=0.008)


@pytest.mark.parametrize("name", ["mlp", "hvae"])
def test_a_biased_model_begins_with_the_given_pixels(name, key):
    bias = np.random.default_rng(0).normal(size=(8, 8, 1))
    model = record(name)
    plain, params = model.init(key), models.biased(model, bias).init(key)
    zs = tuple(of.z for of in model.encode(plain, jnp.ones((1, 8, 8, 1)), key, 1.0))
    shift = model.decode(params, zs, 1.0) - model.decode(plain, zs, 1.0)
    np.testing.assert_allclose(shift, bias[None], rtol=1e-5, atol=1e-6)  # float32
    params["net"]["decoder"]["pixels"]["bias"] *= 0
    jax.tree.map(np.testing.assert_array_equal, params, plain)


def test_he_initialisation_has_twice_the_variance_of_lecun_s(key):
    kernels = [
        build("mlp", (28, 20, 1), hidden_dim=400, init=init).init(key)["net"]["encoder"]
        for init in ("he", "lecun")
    ]
    he, lecun = (of["hidden"]["Dense_0"]["kernel"].var() for of in kernels)
    # 2 / n and 1 / n for n = 560 inputs. The variance of 224,000 draws is known to
    # sqrt(2 / 224,000), 0.3 %: four times that.
    np.testing.assert_allclose(he, 2 / 560, rtol=0.012)
    np.testing.assert_allclose(lecun, 1 / 560, rtol=0.012)


@pytest.mark.parametrize("name", ["mlp", "cnn", "hvae", "conv_hvae"])
def test_the_log_variance_stays_in_its_range(name, key):
    model = build(name, logvar_range=(-1.0, 0.5))
    params = jax.tree.map(lambda leaf: 20 * leaf, model.init(key))
    x = jax.random.uniform(key, (16, 8, 8, 1))
    logvar = model.encode(params, x, None, 1.0)[0].posterior.logvar
    assert (logvar.min(), logvar.max()) == (-1.0, 0.5)


def test_the_original_mlp_has_its_number_of_parameters(key):
    model = build("mlp", (28, 28, 1), z_dim=20, hidden_dim=400, hidden_layers=2)
    encoder = (784 * 400 + 400) + (400 * 400 + 400) + 2 * (400 * 20 + 20)
    decoder = (20 * 400 + 400) + (400 * 400 + 400) + (400 * 784 + 784)
    assert count(jax.eval_shape(model.init, key)) == encoder + decoder


def test_the_original_cnn_has_its_number_of_parameters(key):
    model = build("cnn", (28, 28, 1), z_dim=20, hidden_layers=0, channels=(32, 64))
    flat = 7 * 7 * 64
    encoder = (16 * 32 + 32) + (16 * 32 * 64 + 64) + 2 * (flat * 20 + 20)
    decoder = (20 * flat + flat) + (16 * 64 * 32 + 32) + (16 * 32 + 1)
    assert count(jax.eval_shape(model.init, key)) == encoder + decoder


def test_every_halving_rounds_up():
    assert cnn.halvings((28, 21), 3) == [(28, 21), (14, 11), (7, 6), (4, 3)]


def test_an_unknown_model_lists_the_known_ones():
    known = ", ".join(models.BUILDERS)
    with pytest.raises(ValueError, match=f"must be one of {known}, got 'gan'"):
        build("gan")


def test_a_tuple_of_one_number_of_latents_is_that_number(name, key):
    number, alone = (build(name, z_dim=z).init(key) for z in (3, (3,)))
    jax.tree.map(np.testing.assert_array_equal, number, alone)


def test_a_wrong_count_of_numbers_of_latents_is_refused(name):
    groups = NUM_GROUPS.get(name, 1)
    allowed = f"1 or {groups}" if groups > 1 else "1"
    message = f"model.z_dim: must be a whole number or a tuple of {allowed}, got (2, 3"
    with pytest.raises(ValueError, match=re.escape(message)):
        build(name, z_dim=(2, 3, 4, 5))


def test_a_stage_that_a_model_does_not_have_is_refused(name):
    stages = models.num_stages(name, (8, 8, 1), start_res=2, final_res=8)
    assert stages == (3 if name in models.GROWING else 1)
    message = f"stage: must be from 0 to {stages - 1}, got {stages}"
    with pytest.raises(ValueError, match=message):
        build(name, stage=stages)
