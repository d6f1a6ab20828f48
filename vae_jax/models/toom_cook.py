"""Short correlations in fewer products, by the algorithm of Toom and Cook.

``m`` outputs of a filter of ``r`` taps are ``m * r`` products of numbers. They are also
the coefficients of a product of two polynomials, turned around, and those follow from
its values at ``m + r - 1`` points, one product each. With three constant matrices,

    outputs = A @ ((G @ kernel) * (B @ inputs)),

whose rows have small factors. In two dimensions both sides are treated so, one after
the other: 16 outputs of 3x3 taps are 36 products for 144.

Source:
    Winograd 1980, "Arithmetic complexity of computations", where this is F(m, r).
    Lavin & Gray 2016 (arXiv:1509.09308), for convolutions as matrix products.
"""

import functools
import operator
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from numpy.polynomial import polynomial

# And infinity. Factors and rounding grow with their size and with that of their
# inverses: with -2 for -0.5, that of five points is twice as large.
POINTS = (0, 1, -1, 2, -0.5, -2, 0.5)
MOST_POINTS = 5, 7  # of rows and of columns: with 7 of both, 1.7 times the rounding


class Transforms(NamedTuple):
    """For tiles of ``M`` outputs by ``R`` taps, at ``T = M + R - 1`` points."""

    inputs: Float[np.ndarray, "T T"]
    kernel: Float[np.ndarray, "T R"]
    outputs: Float[np.ndarray, "M T"]


def best_tile(size: tuple[int, int], taps: tuple[int, int]) -> tuple[int, int]:
    """How many rows and columns of outputs a tile should have for the least products.

    Of several, the fewest, which round less; 1 where nothing is gained.
    """
    rows, cols = map(_best_length, size, taps, MOST_POINTS)
    return rows, cols


def _best_length(length: int, taps: int, most_points: int) -> int:
    candidates = range(1, max(most_points + 1 - taps, 0) + 2)
    return min(candidates, key=lambda m: -(-length // m) * (m + taps - 1))


def correlate(
    x: Float[Array, "B H W C"],
    kernel: Float[Array, "kh kw C O"],
    tile: tuple[int, int],
) -> Float[Array, "B H-kh+1 W-kw+1 O"]:
    """Stride-1 "VALID" cross-correlation, by tiles of so many outputs.

    Rounding is up to ten times that of plain sums, relative to the largest output.

    Raises:
        ValueError: if a tile and its taps need more points than there are.
    """
    # Forms whose derivatives are fast on the CPU: a batched product for each row of
    # points, and not one for each point or for all; jnp.unstack, as what comes back of
    # slices is a sum of padded arrays, which takes longer than all products.
    (_, height, width, _), (kh, kw, *_) = x.shape, kernel.shape
    rows, cols = transforms(tile[0], kh), transforms(tile[1], kw)
    inputs = [
        _combined(cols.inputs, _lines(line, 2, tile[1], kw))
        for line in _combined(rows.inputs, _lines(x, 1, tile[0], kh))
    ]
    taps = [
        _combined(cols.kernel, jnp.unstack(line))
        for line in _combined(rows.kernel, jnp.unstack(kernel))
    ]
    products = [_products(*pair) for pair in zip(inputs, taps, strict=True)]
    lines = [_joined(_combined(cols.outputs, line), 2) for line in products]
    y = _joined(_combined(rows.outputs, lines), 1)
    return y[:, : height - kh + 1, : width - kw + 1]


@functools.cache
def transforms(outputs: int, taps: int) -> Transforms:
    """The matrices of F(outputs, taps).

    Raises:
        ValueError: if there are not points enough.
    """
    num_points = outputs + taps - 2  # but for infinity
    if min(outputs, taps) < 1 or num_points > len(POINTS):
        most = len(POINTS) + 2
        raise ValueError(
            "outputs and taps: must be at least 1 each and at most "
            f"{most} together, got {outputs} and {taps}"
        )
    points = np.array(POINTS[:num_points], float)
    others = [np.delete(points, i) for i in range(num_points)]
    # Row i has the coefficients of a polynomial that is zero at all other points; what
    # it is at its own, the kernel is divided by.
    inputs = [np.append(polynomial.polyfromroots(roots), 0) for roots in others]
    inputs.append(polynomial.polyfromroots(points))
    own = [np.prod(point - rest) for point, rest in zip(points, others, strict=True)]
    kernel = _values(points, taps) / np.array([*own, 1])[:, None]
    return Transforms(np.array(inputs), kernel, _values(points, outputs).T)


def _values(points: np.ndarray, length: int) -> np.ndarray:
    """Takes the coefficients of a polynomial to its values, at infinity the last."""
    return np.vstack([np.vander(points, length, increasing=True), np.eye(length)[-1]])


def _lines(x: Array, axis: int, tile: int, taps: int) -> list[Array]:
    """Line i of the inputs of every tile, for each i; tiles begin ``tile`` apart."""
    num = -(-(x.shape[axis] - taps + 1) // tile)
    more = -(-(taps - 1) // tile)  # tiles that the last one's inputs reach into
    pads = [(0, 0)] * x.ndim
    pads[axis] = 0, (num + more) * tile - x.shape[axis]
    x = jnp.pad(x, pads)
    x = x.reshape(*x.shape[:axis], num + more, tile, *x.shape[axis + 1 :])
    lines = jnp.unstack(x, axis=axis + 1)
    return [
        lax.slice_in_dim(lines[i % tile], i // tile, i // tile + num, axis=axis)
        for i in range(tile + taps - 1)
    ]


def _joined(lines: list[Array], axis: int) -> Array:
    """Line i of the outputs of every tile, for each i, put back into place."""
    x = jnp.stack(lines, axis=axis + 1)
    return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])


def _combined(matrix: np.ndarray, arrays: Sequence[Array]) -> list[Array]:
    """``matrix @ arrays``, one sum for each row."""
    return [
        functools.reduce(
            operator.add,
            [float(m) * array for m, array in zip(row, arrays, strict=True) if m],
        )
        for row in matrix
    ]


def _products(inputs: list[Array], kernels: list[Array]) -> list[Array]:
    """``input @ kernel`` of each pair."""
    batch, height, width, c = inputs[0].shape
    rows = jnp.stack([one.reshape(-1, c) for one in inputs])
    each = jnp.unstack(rows @ jnp.stack(kernels))
    return [one.reshape(batch, height, width, -1) for one in each]
