"""Small models that grow, and their layers written out with ``lax``, for the tests."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import small
from jax import lax

from vae_jax import models

SIZES = {"z_dim": 2, "start_res": 2, "final_res": 8, "base_ch": 5, "min_ch": 2}


def is_known(option, value):
    """Whether this version of XLA has a compiler option."""
    try:
        jax.jit(lambda: 0, compiler_options={option: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


# Compiling is most of these tests' time. Optimising is half of it, and fusing by MLIR
# three quarters of what is left.
QUICKLY = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
KNOWN = {name: value for name, value in QUICKLY.items() if is_known(name, value)}
compiled = functools.partial(jax.jit, compiler_options=KNOWN)


@functools.cache
def stages(name, shape, recon="bce", **changes):
    """One record for each stage."""
    changes = SIZES | changes
    num_stages = models.num_stages(name, shape, **(small.SIZES | changes))
    return [
        small.model(name, shape, recon, stage, **changes) for stage in range(num_stages)
    ]


def params_of(model):
    """Parameters none of which is zero, and large enough to matter."""
    rng, shapes = (
        np.random.default_rng(3),
        jax.eval_shape(model.init, jax.random.key(0)),
    )
    draw = lambda leaf: jnp.asarray(rng.normal(0, 0.5, leaf.shape), leaf.dtype)  # noqa: E731
    return jax.tree.map(draw, shapes)


def images(shape, num=3):
    return jnp.asarray(np.random.default_rng(0).random((num, *shape), np.float32))


def conv(params, h):
    """A convolution with its bias; the kernel of any odd size."""
    layout = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(
        h, params["kernel"], (1, 1), "SAME", dimension_numbers=layout
    )
    return y + params["bias"][None, None, None]


def dense(params, h):
    return h @ params["kernel"] + params["bias"][None]


def leaky(h):
    return jnp.where(h > 0, h, 0.2 * h)


def pooled(h):
    b, height, width, c = h.shape
    return h.reshape(b, height // 2, 2, width // 2, 2, c).mean((2, 4))


def doubled(h):
    return jnp.repeat(jnp.repeat(h, 2, axis=1), 2, axis=2)


def shrink(net, stage, h):
    return pooled(leaky(conv(net[f"stage_{stage}"]["shrink"]["Conv_0"], h)))


def grow(net, stage, h):
    return leaky(conv(net[f"stage_{stage}"]["grow"]["UpConv_0"], doubled(h)))


def base(net, h):
    return jax.nn.relu(conv(net["stage_0"]["base"]["Conv_0"], h)).reshape(len(h), -1)


def spread(params, z, grid):
    return jax.nn.relu(dense(params["dense"], z)).reshape(len(z), *grid, -1)


def heads(params, h):
    return dense(params["mean"], h), dense(params["logvar"], h)


def close(actual, desired, rtol=1e-5):
    """Relative to the largest entry: float32, sums in another order."""

    def compare(a, d):
        np.testing.assert_allclose(a, d, rtol=0, atol=rtol * abs(d).max())

    jax.tree.map(compare, actual, desired)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)
