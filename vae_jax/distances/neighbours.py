"""Precision, recall, density and coverage: who lies among whose nearest neighbours."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vae_jax.distances.features import check


class Prdc(NamedTuple):
    """Shares of images, in [0, 1]; only ``density`` may exceed 1."""

    precision: float  # of generated images, those in some real image's ball
    recall: float  # of real images, those in some generated image's ball
    density: float  # real balls around a generated image, in units of k
    coverage: float  # of real images, those with a generated image in their ball


def prdc(
    real: Float[np.ndarray, "N D"],
    fake: Float[np.ndarray, "M E"],
    k: int = 5,
    chunk: int = 1000,
) -> Prdc:
    """Fidelity and diversity of generated images, told apart.

    An image's ball reaches to its k-th nearest neighbour in its own set, itself not
    counted. The ball is closed: a distance equal to the radius is inside, as in
    equation 1 of the first source and in its authors' code. The second source's code
    leaves the boundary out. The two differ only in exact ties, as copies make them.

    Args:
        real: features of real images.
        fake: features of generated images, as many features; rows may differ.
        k: neighbours. Numbers of different k or different n cannot be compared.
        chunk: rows whose distances to a whole set are held at a time. Time and memory
            only.

    Raises:
        ValueError: if a set has no more than k rows, a row is not finite, the sets
            differ in D, or ``k`` or ``chunk`` is below 1.

    Source:
        Kynkaanniemi et al. 2019 (arXiv:1904.06991) for precision and recall; Naeem et
        al. 2020 (arXiv:2002.09797) for density and coverage.
    """
    for name, value in (("k", k), ("chunk", chunk)):
        if value < 1:
            raise ValueError(f"prdc: {name} must be at least 1, got {value}")
    check("prdc", k + 1, real=real, fake=fake)
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    real_radii, fake_radii = _radii(real, k, chunk), _radii(fake, k, chunk)

    balls = np.zeros(len(fake), int)
    recalled, covered = np.zeros((2, len(real)), bool)
    for rows, squared in _squared_distances(fake, real, chunk):
        inside_real = squared <= real_radii
        balls[rows] = inside_real.sum(axis=1)
        covered |= inside_real.any(axis=0)
        recalled |= (squared <= fake_radii[rows, None]).any(axis=0)
    return Prdc(
        precision=float((balls > 0).mean()),
        recall=float(recalled.mean()),
        density=float(balls.mean() / k),
        coverage=float(covered.mean()),
    )


def _radii(x: Float[np.ndarray, "N D"], k: int, chunk: int) -> Float[np.ndarray, " N"]:
    """Squared distance of every row to its k-th nearest other row."""
    radii = np.empty(len(x))
    for rows, squared in _squared_distances(x, x, chunk):
        squared[np.arange(len(squared)), np.arange(len(x))[rows]] = np.inf  # itself
        squared.partition(k - 1, axis=1)
        radii[rows] = squared[:, k - 1]
    return radii


def _squared_distances(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"], chunk: int
) -> Iterator[tuple[slice, Float[np.ndarray, "m M"]]]:
    """The rows of each chunk of ``x`` and their squared distances to all of ``y``."""
    x_norms, y_norms = np.square(x).sum(axis=1), np.square(y).sum(axis=1)
    rounding = x.shape[1] * np.finfo(np.float64).eps
    for start in range(0, len(x), chunk):
        rows = slice(start, start + chunk)
        norms = x_norms[rows, None] + y_norms
        squared = norms - 2 * (x[rows] @ y.T)
        # Copies differ by rounding alone, which must not decide who is in whose ball:
        # a generator that has collapsed makes nothing else.
        squared[squared < rounding * norms] = 0
        yield rows, squared
