"""What latents can gain, from images alone: the theory of linear VAEs.

A VAE with a linear decoder, a Gaussian likelihood of one sigma and a KL weighted by
beta is at its best where probabilistic PCA with the noise variance ``t = beta sigma^2``
is: dividing the loss by beta shows it. Along a principal direction in which the images
vary by ``v``, a latent is of use only if ``v > t``. Then the reconstruction error falls
from v to t and the KL is log(v / t) / 2, so the loss falls by

    v / (2 sigma^2) - beta / 2 - beta / 2 log(v / t).

Bernoulli pixels have no such solution, but a bound: as a function of the logit, their
cross-entropy is curved by p (1 - p) <= 1/4. About the logits of the mean image it lies
below the parabola of that curvature, which is a Gaussian of sigma = 1/2 in the pixels.
What latents gain with that sigma is the least that they can gain.

A deep decoder can gain more: this tells whether there is anything to begin with.

Everything is float64, in nats per image, and in the units of the pixels.

Source:
    Tipping & Bishop 1999, "Probabilistic Principal Component Analysis", section 3.2 and
    appendix A; Lucas et al. 2019 (arXiv:1911.02469), section 4; Jaakkola & Jordan 2000,
    "Bayesian parameter estimation via variational methods", and Böhning 1992, for
    quadratic bounds on the logistic.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy.special
from jaxtyping import Float

BERNOULLI_SIGMA = 0.5
NOTHING = 1e-12  # share of the variance below which a direction is one of rounding


class Fit(NamedTuple):
    """The best linear VAE that learns its sigma."""

    sigma: float
    latents: int  # in use
    gain: float  # over the best one without latents, which has a sigma of its own


class CrossEntropy(NamedTuple):
    """Of the images with outputs that depend on no latents, and with perfect ones."""

    best_constant: float  # the mean image for all
    floor: float  # every image itself: the entropy of its grey pixels


def variances(
    values: Float[np.ndarray, "N D"], weights: Float[np.ndarray, " D"]
) -> Float[np.ndarray, " M"]:
    """Those along the principal directions, largest first; further ones are 0.

    Args:
        values: of the pixels of N images.
        weights: how often the likelihood counts each of the D values.

    Returns:
        Eigenvalues of the covariance, divided by N, of ``sqrt(weights) * values``: as
        many as there are values, or images if they are fewer.
    """
    rows = (values - values.mean(axis=0)) * np.sqrt(weights)
    num, dims = rows.shape
    square = rows.T @ rows if dims <= num else rows @ rows.T
    found = np.linalg.eigvalsh(square / num)[::-1]
    return np.where(found > NOTHING * found.sum(), found, 0.0)


def gains(
    variances: Float[np.ndarray, " M"], sigma: float, beta: float
) -> Float[np.ndarray, " M"]:
    """How far the loss falls by one latent for each direction; 0 where it is of no use.

    Args:
        variances: along the directions.
        sigma: above 0; it stays what it is.
        beta: 0 or more.
    """
    useful = variances > beta * sigma**2
    error = variances / sigma**2
    if not beta:
        return error / 2
    ratio = np.where(useful, error / beta, 1.0)
    return beta / 2 * (ratio - 1 - np.log(ratio))


def survivors(variances: Float[np.ndarray, " M"], sigma: float, beta: float) -> int:
    """In how many directions a latent is of use."""
    return int((variances > beta * sigma**2).sum())


def ceiling(variances: Float[np.ndarray, " M"], sigma: float) -> float:
    """What no decoder gains at that sigma: all of the reconstruction error."""
    return float(variances.sum()) / (2 * sigma**2)


def fit(
    variances: Float[np.ndarray, " M"], num_values: float, most: int, beta: float
) -> Fit:
    """The sigma and the number of latents at which the loss is lowest.

    With k of D directions in use, the loss is stationary in sigma where sigma^2 is the
    variance of all others over D - beta k. At beta = 1 that is the mean of what pPCA
    discards, and all latents are used.

    Args:
        variances: along the directions, largest first.
        num_values: D, the sum of the weights of all values.
        most: latents that there are.
        beta: 0 or more.

    Returns:
        A sigma of 0 and an infinite gain where latents leave no error at all: then the
        density of the images is bounded by nothing.
    """
    if not variances.any():
        return Fit(0.0, 0, 0.0)
    best, alone = Fit(math.nan, 0, -math.inf), None
    for used in range(min(most, len(variances)) + 1):
        left, freedom = variances[used:].sum(), num_values - beta * used
        if freedom <= 0:
            break
        if not left:
            return Fit(0.0, used, math.inf)
        noise = left / freedom
        if used and variances[used - 1] <= beta * noise:
            break  # others vary less, and with them the noise would rise
        kl = _log_ratios(variances[:used], beta * noise) / 2
        loss = num_values / 2 * math.log(noise) + beta * kl  # less D / 2, as for all
        alone = loss if alone is None else alone
        if alone - loss > best.gain:
            best = Fit(math.sqrt(noise), used, alone - loss)
    return best


def _log_ratios(variances: Float[np.ndarray, " M"], threshold: float) -> float:
    return float(np.log(variances / threshold).sum()) if threshold else 0.0


def cross_entropy(
    values: Float[np.ndarray, "N D"], weights: Float[np.ndarray, " D"]
) -> CrossEntropy:
    """The two ends of the reconstruction term of Bernoulli pixels.

    Their difference is what no latents can exceed in gain, before they pay any KL.

    Args:
        values: of the pixels of N images, in [0, 1].
        weights: how often the likelihood counts each of the D values.
    """
    return CrossEntropy(
        float(weights @ _entropy(values.mean(axis=0))),
        float(weights @ _entropy(values).mean(axis=0)),
    )


def _entropy(probs: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return scipy.special.entr(probs) + scipy.special.entr(1 - probs)
