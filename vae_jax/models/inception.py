"""InceptionV3 as the Frechet inception distance uses it, forward only.

The network of TensorFlow's graph of 2015-12-05, which is not quite the one of the
paper: average pools do not count the padding, and the last block's pool takes maxima.
Batch norm is part of the kernels and biases. Modules have the names of the published
checkpoint, so that its tensors need no table to find their place.

Source:
    Szegedy et al. 2015 (arXiv:1512.00567) for the blocks; Heusel et al. 2017
    (arXiv:1706.08500) for the features; pytorch-fid 0.3.0 for the graph's departures.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt8

from vae_jax.contracts import Params

SIDE = 299
DIMS = 2048
CHANNELS = (1, 3)


class Unit(nn.Module):
    """Convolution, bias, ReLU. "SAME" padding is symmetric, as all sizes are odd."""

    features: int
    height: int
    width: int
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w O"]:
        shape = (self.height, self.width, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y = lax.conv_general_dilated(
            x,
            kernel,
            (self.stride, self.stride),
            self.padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            # Accelerators round to 10 or 8 bits otherwise, and the distance with them.
            precision=lax.Precision.HIGHEST,
        )
        return nn.relu(y + bias.reshape(1, 1, 1, -1))


class MixedA(nn.Module):
    """The block of the 35x35 grid."""

    pooled: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W O"]:
        branches = [
            Unit(64, 1, 1, name="branch1x1")(x),
            _chain(x, "branch5x5", (48, 1, 1), (64, 5, 5)),
            _chain(x, "branch3x3dbl", (64, 1, 1), (96, 3, 3), (96, 3, 3)),
            Unit(self.pooled, 1, 1, name="branch_pool")(_average(x)),
        ]
        return jnp.concatenate(branches, axis=-1)


class MixedB(nn.Module):
    """From the 35x35 grid to the 17x17 one."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w O"]:
        h = _chain(x, "branch3x3dbl", (64, 1, 1), (96, 3, 3), (96, 3, 3, 2, "VALID"))
        branches = [
            Unit(384, 3, 3, 2, "VALID", name="branch3x3")(x),
            h,
            _shrink(x),
        ]
        return jnp.concatenate(branches, axis=-1)


class MixedC(nn.Module):
    """The block of the 17x17 grid: 7x7 taken apart."""

    inner: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W O"]:
        c = self.inner
        row, column = (c, 1, 7), (c, 7, 1)
        branches = [
            Unit(192, 1, 1, name="branch1x1")(x),
            _chain(x, "branch7x7", (c, 1, 1), row, (192, 7, 1)),
            _chain(x, "branch7x7dbl", (c, 1, 1), column, row, column, (192, 1, 7)),
            Unit(192, 1, 1, name="branch_pool")(_average(x)),
        ]
        return jnp.concatenate(branches, axis=-1)


class MixedD(nn.Module):
    """From the 17x17 grid to the 8x8 one."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w O"]:
        first, halve = (192, 1, 1), (3, 3, 2, "VALID")
        branches = [
            _chain(x, "branch3x3", first, (320, *halve)),
            _chain(x, "branch7x7x3", first, (192, 1, 7), (192, 7, 1), (192, *halve)),
            _shrink(x),
        ]
        return jnp.concatenate(branches, axis=-1)


class MixedE(nn.Module):
    """The block of the 8x8 grid: 3x3 as a row beside a column."""

    max_pool: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W O"]:
        single = _chain(x, "branch3x3", (384, 1, 1))
        double = _chain(x, "branch3x3dbl", (448, 1, 1), (384, 3, 3))
        # The original graph's last pool is a maximum; the weights were learned with it.
        pooled = (
            nn.max_pool(x, (3, 3), padding="SAME") if self.max_pool else _average(x)
        )
        branches = [
            Unit(320, 1, 1, name="branch1x1")(x),
            Unit(384, 1, 3, name="branch3x3_2a")(single),
            Unit(384, 3, 1, name="branch3x3_2b")(single),
            Unit(384, 1, 3, name="branch3x3dbl_3a")(double),
            Unit(384, 3, 1, name="branch3x3dbl_3b")(double),
            Unit(192, 1, 1, name="branch_pool")(pooled),
        ]
        return jnp.concatenate(branches, axis=-1)


class Inception(nn.Module):
    """Images in [-1, 1) to the averages over the last grid."""

    @nn.compact
    def __call__(
        self, x: Float[Array, f"B {SIDE} {SIDE} 3"]
    ) -> Float[Array, f"B {DIMS}"]:
        x = Unit(32, 3, 3, 2, "VALID", name="Conv2d_1a_3x3")(x)
        x = Unit(32, 3, 3, 1, "VALID", name="Conv2d_2a_3x3")(x)
        x = Unit(64, 3, 3, name="Conv2d_2b_3x3")(x)
        x = _shrink(x)
        x = Unit(80, 1, 1, name="Conv2d_3b_1x1")(x)
        x = Unit(192, 3, 3, 1, "VALID", name="Conv2d_4a_3x3")(x)
        x = _shrink(x)
        for letter, pooled in ("b", 32), ("c", 64), ("d", 64):
            x = MixedA(pooled, name=f"Mixed_5{letter}")(x)
        x = MixedB(name="Mixed_6a")(x)
        for letter, inner in ("b", 128), ("c", 160), ("d", 160), ("e", 192):
            x = MixedC(inner, name=f"Mixed_6{letter}")(x)
        x = MixedD(name="Mixed_7a")(x)
        for letter, max_pool in ("b", False), ("c", True):
            x = MixedE(max_pool, name=f"Mixed_7{letter}")(x)
        return x.mean(axis=(1, 2))


def features(
    params: Params, images: UInt8[Array, "B H W C"]
) -> Float[Array, f"B {DIMS}"]:
    """Averages over the last grid, none below 0, of grey or RGB images of any size.

    Args:
        params: as ``shapes`` has them.
        images: see ``prepare``.
    """
    return Inception().apply({"params": params}, prepare(images))


def prepare(images: UInt8[Array, "B H W C"]) -> Float[Array, f"B {SIDE} {SIDE} 3"]:
    """What the network sees of images: resized, in [-1, 1), a grey one three times.

    Raises:
        ValueError: if the images have another number of channels than 1 or 3.
    """
    if images.shape[-1] not in CHANNELS:
        raise ValueError(f"images: must have 1 or 3 channels, got {images.shape[-1]}")
    # The graph's own numbers; 2 * x / 255 - 1 is common elsewhere, and not the same.
    x = (resize(images.astype(jnp.float32)) - 128.0) / 128.0
    return jnp.broadcast_to(x, (*x.shape[:3], 3))


def resize(x: Float[Array, "B H W C"]) -> Float[Array, f"B {SIDE} {SIDE} C"]:
    """Bilinear to 299 by 299 as TensorFlow 1 does it: pixel i is read at i * in / 299.

    The grid is tied to the first pixel's corner, not centred: most other libraries,
    pytorch-fid's own resize among them, read at (i + 0.5) * in / 299 - 0.5 instead,
    which shifts the picture by up to half a pixel and changes the distance. Nothing is
    smoothed when a large image shrinks.

    Source:
        ``ResizeBilinear`` of TensorFlow 1, with align_corners=False; there is no
        half_pixel_centers in the graph of 2015.
    """
    for axis in 2, 1:  # along the rows first, as TensorFlow does
        low, high, share = _taps(x.shape[axis])
        share = share.reshape([-1 if i == axis else 1 for i in range(4)])
        start = jnp.take(x, low, axis=axis)
        x = start + (jnp.take(x, high, axis=axis) - start) * share
    return x


@functools.cache
def shapes() -> Params:
    """The tree of ``jax.ShapeDtypeStruct`` that the parameters must have."""
    x = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    return jax.eval_shape(Inception().init, jax.random.key(0), x)["params"]


def _taps(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each of the 299 lies: the pixel before, the one after, the latter's share.

    In float32 like TensorFlow, which decides ties at whole pixels.
    """
    where = np.arange(SIDE, dtype=np.float32) * (np.float32(size) / np.float32(SIDE))
    low = where.astype(np.int32)
    return low, np.minimum(low + 1, size - 1), where - low.astype(np.float32)


def _chain(x: Array, name: str, *units: tuple) -> Array:
    for i, unit in enumerate(units, start=1):
        x = Unit(*unit, name=f"{name}_{i}")(x)
    return x


def _average(x: Array) -> Array:
    ones = ((1, 1), (1, 1))
    return nn.avg_pool(x, (3, 3), padding=ones, count_include_pad=False)


def _shrink(x: Array) -> Array:
    return nn.max_pool(x, (3, 3), strides=(2, 2))
