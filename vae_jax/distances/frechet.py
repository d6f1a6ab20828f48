"""The Fréchet distance between the Gaussians fitted to two sets of features."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from vae_jax.distances.features import check

ROWS = 4096  # of features that are centred at a time


class Moments(NamedTuple):
    """The Gaussian fitted to a set of features."""

    mean: Float[np.ndarray, " D"]
    covariance: Float[np.ndarray, "D D"]  # divided by n - 1, as the literature's FID
    n: int

    @property
    def full_rank(self) -> bool:
        """Whether n images can have a covariance of full rank: only if n > D.

        Below that the distance is still defined, but its bias is large.
        """
        return self.n > len(self.mean)


class Extrapolation(NamedTuple):
    """A Fréchet distance at infinitely many generated images, and its line's points."""

    value: float  # may be negative
    fit_error: float  # standard error of the intercept from the scatter about the line
    sizes: Int[np.ndarray, " P"]  # generated images of each point
    distances: Float[np.ndarray, " P"]


def moments(features: Float[np.ndarray, "N D"]) -> Moments:
    """Mean and unbiased covariance, summed in float64 whatever the features are.

    Raises:
        ValueError: if there are fewer than two rows, or one is not finite.
    """
    check("moments", 2, features=features)
    mean = features.mean(axis=0, dtype=np.float64)
    total = np.zeros((len(mean), len(mean)))
    for start in range(0, len(features), ROWS):
        centred = features[start : start + ROWS] - mean
        total += centred.T @ centred
    return Moments(mean, total / (len(features) - 1), len(features))


def frechet_distance(a: Moments, b: Moments) -> float:
    """|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), a *squared* distance.

    In the features' units squared, never negative, symmetric. Called FID when the
    features are those of the 2015 Inception network, and only then. It is biased
    upwards, by about a constant over n: compare only numbers of the same n.

    Raises:
        ValueError: if the two have different numbers of features.

    Source:
        Dowson & Landau 1982 for Gaussians; Heusel et al. 2017 (arXiv:1706.08500).
    """
    _require_same_width("frechet_distance", a.mean, b.mean)
    return _between(a.mean, _root(a.covariance), b.mean, _root(b.covariance))


def frechet_infinity(
    real: Moments, fake: Float[np.ndarray, "N D"], seed: int, points: int = 15
) -> Extrapolation:
    """The Fréchet distance to infinitely many generated images, by extrapolation.

    The distances of random subsets of ``fake`` are fitted by a line in 1/n, whose
    intercept is the value. Assumed: the bias is that line's slope over n, which holds
    once n is well above D. So the subsets run, evenly in n, from a tenth of the images
    or 2 D, whichever is more, to all of them. On Gaussian features that leaves up to a
    tenth of the bias, with its sign turned; subsets from D on left up to a third.
    ``real`` stays as it is, and so does the bias that its own n brings.

    ``fit_error`` is no error bar of the value. All subsets are of the same images, so
    it leaves out what other images would have given, which is about twice as much.

    Args:
        real: of all real images.
        fake: features of the generated images.
        seed: decides the subsets.
        points: subsets on the line.

    Raises:
        ValueError: if there are fewer than 4 D rows or three points, a row is not
            finite, or the two have different numbers of features.

    Source:
        Chong & Forsyth 2020 (arXiv:1911.07023); their code takes 15 sizes from 5,000
        to 50,000, D being 2048.
    """
    check("frechet_infinity", 2, fake=fake)
    _require_same_width("frechet_infinity", real.mean, fake[0])
    n, width = fake.shape
    if n < 4 * width:
        raise ValueError(
            f"frechet_infinity: fake must have at least 4 rows for each of {width} "
            f"features, got {n}"
        )
    if points < 3:
        raise ValueError(f"frechet_infinity: points must be at least 3, got {points}")
    rng = np.random.default_rng(seed)
    sizes = np.linspace(max(n // 10, 2 * width), n, points).astype(int)
    real_root = _root(real.covariance)
    distances = np.empty(points)
    for i, size in enumerate(sizes):
        subset = moments(fake[rng.permutation(n)[:size]])
        root = _root(subset.covariance)
        distances[i] = _between(real.mean, real_root, subset.mean, root)
    return Extrapolation(*_intercept(1 / sizes, distances), sizes, distances)


def _require_same_width(where: str, a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise ValueError(
            f"{where}: both must have the same number of features, got {a.size} and "
            f"{b.size}"
        )


def _root(covariance: Float[np.ndarray, "D D"]) -> Float[np.ndarray, "R D"]:
    """A thin F with F^T F = C, one row for each eigenvalue above rounding."""
    values, vectors = np.linalg.eigh(covariance)
    # The eigenvalues that should be 0 come out as rounding, whose root is not small.
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    return np.sqrt(values[kept])[:, None] * vectors[:, kept].T


def _between(mean_a, root_a, mean_b, root_b) -> float:
    # tr (C_a C_b)^(1/2) is the sum of the singular values of F_a F_b^T: real whatever
    # the ranks, and without the digits that a root of the product's eigenvalues loses.
    overlap = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    spread = np.square(root_a).sum() + np.square(root_b).sum()
    shift = np.square(mean_a - mean_b).sum()
    return float(shift + max(spread - 2 * overlap, 0.0))  # negative only by rounding


def _intercept(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Where the least-squares line meets x = 0, and the standard error of that."""
    (_, value), covariance = np.polyfit(x, y, 1, cov=True)
    return float(value), float(np.sqrt(covariance[1, 1]))
