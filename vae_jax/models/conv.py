"""Convolutions whose gradients are fast inside a compiled loop, on the CPU too.

XLA's CPU backend computes the gradients of ``lax.conv_general_dilated`` slower in a
``fori_loop`` than as one matrix product of image patches: 5 to 200 times for the
kernel, up to 20 times for the input. So the CPU gets pads, slices and matmuls, whose
own derivatives are of the same kind, and where that is faster fewer products than taps
(``toom_cook``); other platforms get the convolution of ``lax``.

Layout is NHWC for images and HWIO for kernels; bias and activation are the caller's in
the functions, and the modules add a bias.
"""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vae_jax.models import pyramid, toom_cook

LECUN = nn.initializers.lecun_normal()
# Of each output, for which the tiles' fewer products outweigh their extra sums.
LEAST_INPUTS = 72


def conv(
    x: Float[Array, "B H W C"], kernel: Float[Array, "kh kw C O"], stride: int
) -> Float[Array, "B -(-H//{stride}) -(-W//{stride}) O"]:
    """Cross-correlation with "SAME" padding: ``ceil(H / stride)`` rows come out.

    Equal to ``lax.conv_general_dilated(..., padding="SAME")`` up to rounding, for any
    size of image and kernel. Where the padding is odd, the extra row is at the end.
    """
    return _by_platform(_conv_matmul, _conv_lax, x, kernel, stride=stride)


def conv_transpose(
    x: Float[Array, "B H W C"], kernel: Float[Array, "kh kw C O"], stride: int
) -> Float[Array, "B H*{stride} W*{stride} O"]:
    """Transposed convolution with "SAME" padding: ``H * stride`` rows come out.

    Equal to ``lax.conv_transpose(..., padding="SAME")`` up to rounding: the kernel
    slides unflipped over ``x`` with ``stride - 1`` zeros between its pixels. It is the
    adjoint of ``conv`` with the kernel flipped in both directions and ``C`` and ``O``
    exchanged; PyTorch's ``ConvTranspose2d`` slides its kernel flipped.
    """
    forms = _conv_transpose_matmul, _conv_transpose_lax
    return _by_platform(*forms, x, kernel, stride=stride)


def upsample_conv(
    x: Float[Array, "B H W C"], kernel: Float[Array, "kh kw C O"]
) -> Float[Array, "B 2*H 2*W O"]:
    """Every pixel repeated to two by two, then ``conv`` of stride 1.

    Equal up to rounding, for any size of image and kernel; on the CPU a 3x3 kernel
    takes 2.25 times fewer products than that.
    """
    return _by_platform(_upsample_conv_matmul, _upsample_conv_lax, x, kernel)


class Conv(nn.Module):
    """``conv`` plus a bias; the kernel is ``size`` by ``size``."""

    features: int
    size: int
    stride: int
    kernel_init: Callable[..., Array] = LECUN

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"]
    ) -> Float[Array, "B -(-H//{self.stride}) -(-W//{self.stride}) {self.features}"]:
        kernel, bias = _kernel_and_bias(self, x.shape[-1], self.kernel_init)
        return conv(x, kernel, self.stride) + bias


class ConvTranspose(nn.Module):
    """``conv_transpose`` plus a bias; the kernel is ``size`` by ``size``."""

    features: int
    size: int
    stride: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"]
    ) -> Float[Array, "B H*{self.stride} W*{self.stride} {self.features}"]:
        kernel, bias = _kernel_and_bias(self, x.shape[-1])
        return conv_transpose(x, kernel, self.stride) + bias


class UpConv(nn.Module):
    """``upsample_conv`` plus a bias; the kernel is ``size`` by ``size``."""

    features: int
    size: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"]
    ) -> Float[Array, "B 2*H 2*W {self.features}"]:
        kernel, bias = _kernel_and_bias(self, x.shape[-1])
        return upsample_conv(x, kernel) + bias


def _kernel_and_bias(
    module: Conv | ConvTranspose | UpConv,
    channels: int,
    kernel_init: Callable[..., Array] = LECUN,
) -> tuple[Float[Array, "kh kw C O"], Float[Array, "1 1 1 O"]]:
    shape = (module.size, module.size, channels, module.features)
    kernel = module.param("kernel", kernel_init, shape)
    bias = module.param("bias", nn.initializers.zeros, (module.features,))
    return kernel, bias.reshape(1, 1, 1, -1)


def _by_platform(
    on_cpu: Callable[..., Array],
    elsewhere: Callable[..., Array],
    x: Array,
    kernel: Array,
    **static: int,
) -> Array:
    # Decided at lowering and not by jax.default_backend(), which is wrong for work put
    # on the CPU of a machine with a GPU. Compiles to the same time and memory.
    return lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(on_cpu, **static),
        default=functools.partial(elsewhere, **static),
    )


def _conv_lax(x: Array, kernel: Array, stride: int) -> Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _conv_transpose_lax(x: Array, kernel: Array, stride: int) -> Array:
    return lax.conv_transpose(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _upsample_conv_lax(x: Array, kernel: Array) -> Array:
    return _conv_lax(pyramid.up(x), kernel, stride=1)


def _conv_matmul(x: Array, kernel: Array, stride: int) -> Array:
    """``_conv_lax`` at stride 1 over blocks of ``stride`` by ``stride`` pixels."""
    (_, height, width, _), (kh, kw, c, o) = x.shape, kernel.shape
    rows, cols = -(-kh // stride), -(-kw // stride)
    pad_h = _pad_to_blocks(height, kh, stride)
    pad_w = _pad_to_blocks(width, kw, stride)
    x = _space_to_depth(jnp.pad(x, ((0, 0), pad_h, pad_w, (0, 0))), stride)
    surplus = ((0, rows * stride - kh), (0, cols * stride - kw), (0, 0), (0, 0))
    kernel = jnp.pad(kernel, surplus).reshape(rows, stride, cols, stride, c, o)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(rows, cols, -1, o)
    return _correlate(x, kernel)


def _conv_transpose_matmul(x: Array, kernel: Array, stride: int) -> Array:
    """``_conv_transpose_lax`` at stride 1, each position giving a block of pixels."""
    (_, height, width, _), (kh, kw, c, o) = x.shape, kernel.shape
    rows, cols = -(-kh // stride), -(-kw // stride)
    # Padded in front to whole blocks, tap ``stride * m + stride - 1 - r`` leads from
    # input ``q + m`` to output ``stride * q + r``: every r sees the same window.
    surplus = ((rows * stride - kh, 0), (cols * stride - kw, 0), (0, 0), (0, 0))
    kernel = jnp.pad(kernel, surplus).reshape(rows, stride, cols, stride, c, o)
    kernel = kernel[:, ::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5)
    border = ((0, 0), (rows - 1, rows - 1), (cols - 1, cols - 1), (0, 0))
    y = _correlate(jnp.pad(x, border), kernel.reshape(rows, cols, c, -1))
    y = _depth_to_space(y, stride)
    top, left = max(kh - stride, 0) // 2, max(kw - stride, 0) // 2
    return y[:, top : top + height * stride, left : left + width * stride]


def _upsample_conv_matmul(x: Array, kernel: Array) -> Array:
    """``_upsample_conv_lax`` as one transposed convolution of stride 2.

    Repetition is a transposed convolution with ones, and two of those in a row are one
    whose kernel is the convolution of theirs: a 3x3 one becomes 4x4, which is a 2x2
    one for each of the four pixels that a pixel turns into.
    """
    for axis in (0, 1):
        # "SAME" pads an even side by one less in front, as if it began with a zero.
        even = 1 - kernel.shape[axis] % 2
        before, after = [(0, 0)] * 4, [(0, 0)] * 4
        before[axis], after[axis] = (even + 1, 0), (even, 1)
        kernel = jnp.pad(kernel, before) + jnp.pad(kernel, after)
    return _conv_transpose_matmul(x, kernel, stride=2)


def _correlate(x: Array, kernel: Array) -> Array:
    """Stride-1 "VALID" cross-correlation, in matrix products."""
    rows, cols, c, o = kernel.shape
    if 4 * o <= c:
        return _of_few_outputs(x, kernel)
    size = x.shape[1] - rows + 1, x.shape[2] - cols + 1
    tile = toom_cook.best_tile(size, (rows, cols))
    if rows * cols * c < LEAST_INPUTS or 1 in tile:
        return _product(_patches(x, rows, cols), kernel.reshape(-1, o))
    return toom_cook.correlate(x, kernel, tile)


def _patches(x: Array, rows: int, cols: int) -> Array:
    """What the taps see at every position, on the last axis."""
    height, width = x.shape[1] - rows + 1, x.shape[2] - cols + 1
    shifts = [
        x[:, i : i + height, j : j + width] for i in range(rows) for j in range(cols)
    ]
    return jnp.concatenate(shifts, axis=-1)


def _product(inputs: Array, kernel: Array) -> Array:
    """``inputs @ kernel``, of many rows and few columns.

    By halves of the rows, if their number is even, and with the kernel turned. Then the
    kernel's gradient, which is a sum over all rows, is computed as that of two products
    with few rows and many columns, in half the time: 512 x 64 numbers, sums of 6272, in
    3.1 ms for 6.7.
    """
    *positions, taps = inputs.shape
    halves = 2 - math.prod(positions) % 2
    rows = inputs.reshape(halves, -1, taps)
    columns = jnp.broadcast_to(kernel.T, (halves, *kernel.T.shape))
    each = lax.dot_general(rows, columns, (((2,), (2,)), ((0,), (0,))))
    return each.reshape(*positions, -1)


def _of_few_outputs(x: Array, kernel: Array) -> Array:
    """``_correlate`` of few outputs: one product, whose results are added up.

    Each position has a number for every tap and output, not for every tap and input:
    for 32 -> 1 channels, eight times fewer, in 0.4 of the time with both gradients.
    """
    (*positions, c), (rows, cols, _, o) = x.shape, kernel.shape
    flat = kernel.transpose(2, 0, 1, 3).reshape(c, -1)
    each = _product(x, flat).reshape(*positions, rows * cols, o)
    height, width = x.shape[1] - rows + 1, x.shape[2] - cols + 1
    taps = jnp.unstack(each, axis=-2)
    return sum(
        taps[i * cols + j][:, i : i + height, j : j + width]
        for i in range(rows)
        for j in range(cols)
    )


def _pad_to_blocks(size: int, taps: int, stride: int) -> tuple[int, int]:
    """Padding of "SAME", grown at the end until the last window is whole blocks."""
    out, blocks = -(-size // stride), -(-taps // stride)
    before = max((out - 1) * stride + taps - size, 0) // 2
    return before, (out + blocks - 1) * stride - size - before


def _space_to_depth(x: Array, block: int) -> Array:
    b, h, w, c = x.shape
    x = x.reshape(b, h // block, block, w // block, block, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // block, w // block, -1)


def _depth_to_space(x: Array, block: int) -> Array:
    b, h, w, _ = x.shape
    # With a transposition and its derivative, a step of mnist_cnn takes 5 % longer.
    rows = jnp.split(x, block, axis=-1)
    return jnp.concatenate(rows, axis=2).reshape(b, h * block, w * block, -1)
