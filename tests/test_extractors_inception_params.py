"""From a checkpoint to parameters and back from a file, for a network of two units."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vae_jax.data import npz
from vae_jax.extractors import inception_params
from vae_jax.models import inception

KERNELS = {"first": (3, 3, 2, 4), "last.inner": (1, 7, 4, 3)}


@pytest.fixture(autouse=True)
def _two_units(monkeypatch):
    def unit(kernel):
        shapes = {"kernel": kernel, "bias": kernel[-1:]}
        return {n: jax.ShapeDtypeStruct(s, jnp.float32) for n, s in shapes.items()}

    first, inner = map(unit, KERNELS.values())
    tree = {"first": first, "last": {"inner": inner}}
    monkeypatch.setattr(inception, "shapes", lambda: tree)


def checkpoint():
    rng = np.random.default_rng(0)
    shapes = inception_params.checkpoint_shapes()
    return {
        n: rng.uniform(0.5 if "var" in n else -1, 2, s).astype(np.float32)
        for n, s in shapes.items()
    }


def test_the_checkpoint_has_a_kernel_and_four_statistics_for_each_unit():
    assert inception_params.checkpoint_shapes() == {
        "first.conv.weight": (4, 2, 3, 3),
        "first.bn.weight": (4,),
        "first.bn.bias": (4,),
        "first.bn.running_mean": (4,),
        "first.bn.running_var": (4,),
        "last.inner.conv.weight": (3, 4, 1, 7),
        "last.inner.bn.weight": (3,),
        "last.inner.bn.bias": (3,),
        "last.inner.bn.running_mean": (3,),
        "last.inner.bn.running_var": (3,),
    }


def test_a_folded_unit_does_what_convolution_and_batch_norm_do():
    tensors = checkpoint()
    folded = inception_params.from_checkpoint(tensors, "x")["first"]
    x = np.random.default_rng(1).normal(size=(2, 2, 6, 5)).astype(np.float32)
    # As torch does it: NCHW and OIHW, then (y - mean) / sqrt(var + 0.001) * w + b.
    y = lax.conv_general_dilated(x, tensors["first.conv.weight"], (1, 1), "VALID")
    w, b, mean, var = (
        tensors[f"first.bn.{s}"].reshape(1, -1, 1, 1)
        for s in ("weight", "bias", "running_mean", "running_var")
    )
    expected = (y - mean) / np.sqrt(var + 0.001) * w + b
    layout = ("NHWC", "HWIO", "NHWC")
    x = x.transpose(0, 2, 3, 1)
    y = lax.conv_general_dilated(
        x, folded["kernel"], (1, 1), "VALID", dimension_numbers=layout
    )
    found = (y + folded["bias"].reshape(1, 1, 1, -1)).transpose(0, 3, 1, 2)
    # Sums of 18 products of about 2, in float32 in both: 1e-5 is 20 roundings of them.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_parameters_come_back_from_a_file_bit_for_bit(tmp_path):
    params = inception_params.from_checkpoint(checkpoint(), "x")
    npz.write(tmp_path / "file.npz", inception_params.to_arrays(params))
    found = inception_params.from_npz(tmp_path / "file.npz")
    jax.tree.map(np.testing.assert_array_equal, found, params)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(found))


def test_the_classifier_and_the_counts_may_be_there():
    rest = {
        "fc.weight": np.zeros((1008, 2048), np.float32),
        "fc.bias": np.zeros(1008, np.float32),
        "first.bn.num_batches_tracked": np.int64(0),
        "last.inner.bn.num_batches_tracked": np.int64(0),
    }
    assert rest.keys() == inception_params.unused_shapes().keys()
    found = inception_params.from_checkpoint(checkpoint() | rest, "x")
    expected = inception_params.from_checkpoint(checkpoint(), "x")
    jax.tree.map(np.testing.assert_array_equal, found, expected)


NAMES = "must hold the tensors of pytorch-fid's InceptionV3, got one"
CHANGES = {
    f"x: {NAMES} without first.bn.bias and with none beside them": {
        "first.bn.bias": None
    },
    f"x: {NAMES} without none and with AuxLogits.fc.bias beside them": {
        "AuxLogits.fc.bias": np.zeros(3, np.float32)
    },
    "and with a, b, c and 2 more beside them": dict.fromkeys("abcde", np.zeros(1)),
    "x: first.bn.bias: must be float32 [4], got float32 [3]": {
        "first.bn.bias": np.zeros(3, np.float32)
    },
    "x: first.bn.bias: must be float32 [4], got float64 [4]": {
        "first.bn.bias": np.zeros(4)
    },
    "x: first.bn.bias: must be finite, got NaN or infinity": {
        "first.bn.bias": np.float32([0, 0, np.nan, 0])
    },
    "x: first.bn.running_var: must be at least 0, got -1.0": {
        "first.bn.running_var": np.float32([0, 0, -1, 0])
    },
}


@pytest.mark.parametrize(("message", "changes"), CHANGES.items())
def test_another_checkpoint_is_refused(message, changes):
    tensors = {k: v for k, v in (checkpoint() | changes).items() if v is not None}
    with pytest.raises(ValueError, match=f"{re.escape(message)}$"):
        inception_params.from_checkpoint(tensors, "x")


FILES = {
    "must have the digest in it, got another": {"first.bias": np.zeros(4, np.float32)},
    "first.bias: must be float32 [4], got float32 [2, 2]": {
        "first.bias": np.zeros((2, 2), np.float32)
    },
    "first.bias: must be finite, got NaN or infinity": {
        "first.bias": np.full(4, np.inf, np.float32)
    },
    "must hold the plain arrays": {"first.bias": None},
}


@pytest.mark.parametrize(("message", "changes"), FILES.items())
def test_a_file_of_other_parameters_is_refused(tmp_path, message, changes):
    path = tmp_path / "file.npz"
    params = inception_params.from_checkpoint(checkpoint(), "x")
    arrays = inception_params.to_arrays(params) | changes
    npz.write(path, {k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(ValueError, match=f"^{path}: .*{re.escape(message)}"):
        inception_params.from_npz(path)
