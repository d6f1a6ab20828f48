"""The digit classifier as a network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import close, dense
from jax import lax

from vae_jax.models import classifier

X = np.random.default_rng(0).random((5, 28, 28, 1), np.float32)


@pytest.fixture(scope="module")
def params():
    """Biases that are not zero, so that leaving one out shows."""
    flat, tree = jax.tree.flatten(jax.jit(classifier.init)(jax.random.key(0)))
    draw = np.random.default_rng(1).normal
    return tree.unflatten(
        [p + jnp.float32(draw(size=p.shape) * 0.1 * (p.ndim == 1)) for p in flat]
    )


def by_hand(params):
    """Features and logits, with the convolutions of ``lax`` and the sizes written out.

    28 -> 14 -> 7 -> 7 -> 4 pixels on a side, then 4 * 4 * 64 values to 64 and 10.
    """
    h, layout = X, ("NHWC", "HWIO", "NHWC")
    for i, stride in enumerate([2, 2, 1, 2]):
        layer = params[f"conv_{i}"]
        h = lax.conv_general_dilated(
            h, layer["kernel"], (stride, stride), "SAME", dimension_numbers=layout
        )
        h = jnp.maximum(h + layer["bias"][None, None, None], 0)
    assert h.shape == (5, 4, 4, 64)
    features = dense(params["features"], h.reshape(5, 1024))
    return features, dense(params["logits"], jnp.maximum(features, 0))


def test_features_and_logits_are_those_of_the_layers_written_out(params):
    features, logits = by_hand(params)
    assert features.shape == (5, 64)
    assert logits.shape == (5, 10)
    assert features.min() < 0 < features.max()  # the relu comes after
    close(jax.jit(classifier.features)(params, X), features)
    close(jax.jit(classifier.logits)(params, X), logits)


def test_the_weights_take_less_than_a_megabyte():
    counts = {
        layer: sum(leaf.size for leaf in leaves.values())
        for layer, leaves in classifier.shapes().items()
    }
    assert counts == {
        "conv_0": 5 * 5 * 1 * 24 + 24,
        "conv_1": 3 * 3 * 24 * 48 + 48,
        "conv_2": 3 * 3 * 48 * 48 + 48,
        "conv_3": 3 * 3 * 48 * 64 + 64,
        "features": 4 * 4 * 64 * 64 + 64,
        "logits": 64 * 10 + 10,
    }
    assert 4 * sum(counts.values()) < 1e6


def test_the_key_decides_the_parameters_and_shapes_says_what_they_are():
    init = jax.jit(classifier.init)
    one, same, other = (init(jax.random.key(seed)) for seed in (0, 0, 1))
    kernels = [p["conv_0"]["kernel"] for p in (one, same, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).all()
    described = jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype), one)
    assert described == classifier.shapes()
    assert {p.dtype for p in jax.tree.leaves(one)} == {jnp.dtype("float32")}
