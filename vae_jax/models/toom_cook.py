"""Short correlations in fewer products, by the algorithm of Toom and Cook.

``m`` outputs of a filter of ``r`` taps are ``m * r`` products of numbers. They are also
the coefficients of a product of two polynomials, turned around, and those follow from
its values at ``m + r - 1`` points, each one product: with the matrices of ``Transforms``,

    y = outputs @ ((kernel @ g) * (inputs @ d)),

of the ``m + r - 1`` inputs ``d``. The rest are sums, with small whole factors.

Source:
    Winograd 1980, "Arithmetic complexity of computations", for F(m, r), as these are
    called. Lavin & Gray 2016 (arXiv:1509.09308), for its use in convolutions.
"""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.polynomial import polynomial

# And infinity. Of more or larger ones factors and rounding grow: at these six float32
# has four times the error of plain sums, at eight (with 1/2 and -1/2) not less.
POINTS = (0, 1, -1, 2, -2)


class Transforms(NamedTuple):
    """For tiles of ``M`` outputs by ``R`` taps, ``T = M + R - 1`` points."""

    inputs: Float[np.ndarray, "T T"]
    kernel: Float[np.ndarray, "T R"]
    outputs: Float[np.ndarray, "M T"]


def tile(length: int, taps: int) -> int:
    """How many outputs a tile should have, so that ``length`` take the least products.

    Of several, the fewest, which round less; 1 where nothing is gained.
    """
    candidates = range(1, max(len(POINTS) + 1 - taps, 0) + 2)
    return min(candidates, key=lambda m: -(-length // m) * (m + taps - 1))


@functools.cache
def transforms(outputs: int, taps: int) -> Transforms:
    """Those of F(outputs, taps).

    Raises:
        ValueError: if there are not points enough.
    """
    num_points = outputs + taps - 2  # but for infinity
    if not 0 <= num_points <= len(POINTS):
        raise ValueError(
            f"outputs + taps: must be 2 to {len(POINTS) + 2}, got {outputs} + {taps}"
        )
    points = np.array(POINTS[:num_points], float)
    others = [np.delete(points, i) for i in range(num_points)]
    # Row i is zero at all other points; the kernel is divided by what it is at its own.
    inputs = [np.append(polynomial.polyfromroots(roots), 0) for roots in others]
    inputs.append(polynomial.polyfromroots(points))
    own = [np.prod(point - rest) for point, rest in zip(points, others, strict=True)]
    kernel = _values(points, taps) / np.array([*own, 1])[:, None]
    return Transforms(np.array(inputs), kernel, _values(points, outputs).T)


def _values(points: np.ndarray, length: int) -> np.ndarray:
    """What takes a polynomial's coefficients to its values, at infinity the last one."""
    return np.vstack([np.vander(points, length, increasing=True), np.eye(length)[-1]])
