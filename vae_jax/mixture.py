"""A Gaussian mixture in place of the prior: what the latents are really like.

The prior need not be where a decoder was trained; the aggregated posterior is. Samples
from a mixture fitted to it are often better, and are no longer the model's own.

Source:
    Ghosh et al. 2020 (arXiv:1903.12436), section 4, ex-post density estimation.
"""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

INSTALL = "scikit-learn (pip install scikit-learn)"


class Mixture(NamedTuple):
    """K Gaussians with full covariances."""

    weights: Float[np.ndarray, " K"]
    means: Float[np.ndarray, "K D"]
    covariances: Float[np.ndarray, "K D D"]
    converged: bool


def fit(latents: Float[np.ndarray, "N D"], components: int, seed: int) -> Mixture:
    """The mixture after EM in float64, begun at the clusters of k-means.

    Raises:
        ModuleNotFoundError: if scikit-learn is not installed.
        ValueError: if there are fewer latents than components, or one is not finite.
    """
    if not np.isfinite(latents).all():
        count = (~np.isfinite(latents).all(axis=1)).sum()
        raise ValueError(f"latents: must be finite, got {count} rows that are not")
    if len(latents) < components:
        raise ValueError(
            f"components: must be at most the number of latents, {len(latents)}, "
            f"got {components}"
        )
    try:
        from sklearn import exceptions, mixture
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"it needs {INSTALL}") from error

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        model = mixture.GaussianMixture(components, random_state=seed)
        model.fit(latents.astype(np.float64))
    return Mixture(model.weights_, model.means_, model.covariances_, model.converged_)


def sample(mixture: Mixture, num: int, seed: int) -> Float[np.ndarray, "num D"]:
    """Independent draws, float32."""
    rng = np.random.default_rng(seed)
    which = rng.choice(len(mixture.weights), size=num, p=mixture.weights)
    draws = rng.standard_normal((num, mixture.means.shape[1]))
    roots = np.linalg.cholesky(mixture.covariances)
    for k, (mean, root) in enumerate(zip(mixture.means, roots, strict=True)):
        draws[which == k] = draws[which == k] @ root.T + mean
    return draws.astype(np.float32)
