"""The two-level model with convolutions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from by_hand import params_of
from jax import lax
from scipy import special

pytestmark = pytest.mark.slow  # what it shares with hvae is tested there

SIZES = {
    "z_dim": (2, 3),
    "channels": (2, 3),
    "hidden_dim": 5,
    "hidden_layers": 2,
    "activation": "gated",
    "init": "he",
    "logvar_range": (-2.0, 1.0),
}


@functools.cache
def build(shape, recon="bce", **changes):
    return small.model("conv_hvae", shape, recon, **(SIZES | changes))


def gated_conv(layer, h, stride=1):
    """Two convolutions, written out with ``lax``."""

    def one(part):
        kernel = np.split(np.asarray(layer["Conv_0"]["kernel"]), 2, axis=-1)[part]
        bias = np.split(np.asarray(layer["Conv_0"]["bias"]), 2)[part]
        layout = ("NHWC", "HWIO", "NHWC")
        strides = (stride, stride)
        y = lax.conv_general_dilated(
            h, kernel, strides, "SAME", dimension_numbers=layout
        )
        return np.asarray(y) + bias

    return one(0) * special.expit(one(1))


def gated(layers, h):
    def dense(layer):
        return h @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])

    return dense(layers["Dense_0"]) * special.expit(dense(layers["gate_0"]))


def features(net, h):
    for i, stride in enumerate((1, 2, 1, 2, 1)):
        h = gated_conv(net["features"][f"Gated_{i}"], h, stride)
    return h.reshape(len(h), -1)


def heads(net, h):
    def dense(layer):
        return h @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])

    return dense(net["heads"]["mean"]), dense(net["heads"]["logvar"]).clip(-2, 1)


def assert_close(actual, desired):
    desired = np.asarray(desired)
    # float32, sums in another order
    np.testing.assert_allclose(actual, desired, atol=1e-5 * abs(desired).max())


def test_every_part_is_as_published_written_out_by_hand(key):
    model = build((6, 5, 1))
    params = jax.tree.map(lambda leaf: 0.5 * leaf, params_of(model))
    net = params["net"]
    x = np.random.default_rng(0).random((3, 6, 5, 1)).astype(np.float32)
    out = jax.jit(model.apply)(params, jnp.asarray(x), key, 1.0)
    top, fine = out.latents
    z2, z1 = np.asarray(top.z), np.asarray(fine.z)

    own = net["top_encoder"]
    jax.tree.map(assert_close, tuple(top.posterior), heads(own, features(own, x)))
    kernels = [own["features"][f"Gated_{i}"]["Conv_0"]["kernel"] for i in range(5)]
    assert [kernel.shape[0] for kernel in kernels] == [7, 3, 5, 3, 3]

    own = net["encoder"]
    seen = features(own, x)
    assert seen.shape == (3, 2 * 2 * 6)
    h = gated(own["joint"], np.concatenate([seen, gated(own["hidden"], z2)], axis=1))
    jax.tree.map(assert_close, tuple(fine.posterior), heads(own, h))

    own = net["decoder"]
    each = [gated(own["hidden_0"], z2), gated(own["hidden_1"], z1)]
    h = gated(own["joint"], np.concatenate(each, axis=1)).reshape(x.shape)
    for i in range(4):
        h = gated_conv(own[f"Gated_{i}"], h)
    kernel, bias = (np.asarray(own["pixels"][part]) for part in ("kernel", "bias"))
    assert_close(out.pixels, h @ kernel[0, 0] + bias)


def conv(size, inputs, outputs):
    """Numbers in a gated convolution: kernels and biases, twice."""
    return 2 * (size**2 * inputs * outputs + outputs)


def dense(inputs, outputs):
    return 2 * (inputs * outputs + outputs)


def test_the_published_conv_hvae_has_its_number_of_parameters(key):
    size = {"z_dim": 40, "hidden_dim": 300, "channels": (32, 64)}
    model = build((28, 28, 1), **size)
    flat = 7 * 7 * 6
    rest = conv(3, 32, 32) + conv(3, 64, 64) + conv(3, 64, 6)
    expected = {
        "top_encoder": conv(7, 1, 32) + conv(5, 32, 64) + rest + dense(flat, 40),
        "encoder": conv(3, 1, 32)
        + conv(3, 32, 64)
        + rest
        + dense(40, flat)
        + dense(2 * flat, 300)
        + dense(300, 40),
        "top_decoder": dense(40, 300) + dense(300, 300) + dense(300, 40),
        "decoder": 2 * dense(40, 300)
        + dense(600, 784)
        + conv(3, 1, 64)
        + 3 * conv(3, 64, 64)
        + 65,
    }
    params = jax.eval_shape(model.init, key)
    found = {
        name: sum(leaf.size for leaf in jax.tree.leaves(of))
        for name, of in params["net"].items()
    }
    assert found == expected
    assert sum(found.values()) == 2_210_861


def test_less_is_decoded_at_once_than_by_models_of_narrow_layers():
    assert build((6, 5, 1)).floats_per_pixel > 1
