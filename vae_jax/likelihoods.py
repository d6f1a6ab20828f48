"""p(x|z): how the decoder's output is compared with an image, pictured and sampled."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax import losses
from vae_jax.contracts import Likelihood

LEVELS = 256  # of 8-bit images
# The mean of a discretised logistic stays half a level off black and white, and its log
# scale between these: Tomczak & Welling 2018 (arXiv:1705.07120), in their code.
MARGIN = 0.5 / LEVELS
LOG_SCALES = (-4.5, 0.0)
DARKEST = 1e-3  # probability with which a pixel may begin, and of black the same


class Options(NamedTuple):
    """What a config says of likelihoods; each reads what concerns it."""

    sigma: float  # where a learnable scale starts; a fixed one is in ``Hparams``
    sigma_learnable: bool  # whether the one scale of all pixels is a parameter
    include_const: bool  # whether the loss has the constant of a density
    bin_width: float  # of one grey level, in the units of the pixels


def build(name: str, **options: float | bool) -> Likelihood:
    """The likelihood that ``loss.recon`` names, one of ``NAMES``; see ``Options``.

    Raises:
        ValueError: if there is no such likelihood.
    """
    if name not in BUILDERS:
        raise ValueError(f"likelihood: must be one of {', '.join(NAMES)}, got {name!r}")
    return BUILDERS[name](Options(**options))


def logits(probs: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Those of probabilities, which are clipped to ``DARKEST`` and 1 less that."""
    probs = np.clip(probs, DARKEST, 1 - DARKEST)
    return np.log(probs) - np.log1p(-probs)


def _bernoulli(_: Options) -> Likelihood:
    """Pixels that are black or white, given as logits."""

    def nll(params, hparams, pixels, target, weight):
        del params, hparams
        return losses.bernoulli_nll(pixels, target, weight)

    def sample(key, params, hparams, pixels):
        del params, hparams
        probs = jax.nn.sigmoid(pixels)
        return jax.random.bernoulli(key, probs).astype(jnp.float32)

    return Likelihood("binary", 1, dict, nll, nll, jax.nn.sigmoid, sample)


def _continuous_bernoulli(_: Options) -> Likelihood:
    """A density on [0, 1], given as its natural parameter."""

    def nll(params, hparams, pixels, target, weight):
        del params, hparams
        return losses.continuous_bernoulli_nll(pixels, target, weight)

    def mean(pixels):
        # 1 / (1 - exp(-l)) - 1 / l; near 0 by its series, up to l^5.
        near = jnp.abs(pixels) < 0.5
        small, large = jnp.where(near, pixels, 0.0), jnp.where(near, 1.0, pixels)
        square = jnp.square(small)
        series = 0.5 + small * (1 / 12 - square * (1 / 720 - square / 30240))
        return jnp.where(near, series, -1 / jnp.expm1(-large) - 1 / large)

    def sample(key, params, hparams, pixels):
        del params, hparams
        # Where the distribution function is u: log(1 + u (exp(l) - 1)) / l, for
        # negative l, and mirrored for positive ones, whose exponential would overflow.
        u = jax.random.uniform(key, pixels.shape)
        near = jnp.abs(pixels) < 1e-3
        logits = jnp.where(near, -1.0, -jnp.abs(pixels))
        low = jnp.where(near, u, jnp.log1p(u * jnp.expm1(logits)) / logits)
        return jnp.where(pixels > 0, 1 - low, low)

    return Likelihood("density", 1, dict, nll, nll, mean, sample)


def _gaussian(options: Options) -> Likelihood:
    """One standard deviation for all pixels."""
    return _of_one_scale(options, losses.gaussian_nll, jax.random.normal, "sigma")


def _laplace(options: Options) -> Likelihood:
    """One mean absolute deviation for all pixels."""
    return _of_one_scale(options, losses.laplace_nll, jax.random.laplace, "scale")


def _of_one_scale(
    options: Options,
    nll_of: Callable[..., Float[Array, " B"]],
    noise: Callable[..., Array],
    called: str,
) -> Likelihood:
    """Locations given as they are, with one scale, learned or fixed."""
    learnable = options.sigma_learnable

    def init():
        start = math.log(options.sigma)
        return {"log_sigma": jnp.float32(start)} if learnable else {}

    def log_scale(params, hparams):
        return params["log_sigma"] if learnable else jnp.log(hparams.sigma)

    def nll(params, hparams, pixels, target, weight, include_const=True):
        scale = log_scale(params, hparams)
        return nll_of(pixels, scale, target, weight, include_const)

    def sample(key, params, hparams, pixels):
        scale = jnp.exp(log_scale(params, hparams))
        return pixels + scale * noise(key, pixels.shape)

    return Likelihood(
        "density",
        1,
        init,
        nll,
        functools.partial(nll, include_const=options.include_const),
        lambda pixels: pixels,
        sample,
        scale_name=called,
    )


def _gaussian_per_pixel(options: Options) -> Likelihood:
    """Outputs are each pixel's mean and o, its sigma being floor + sigma exp(o).

    Both numbers are of ``Hparams``. The floor keeps the density of pixels that a
    decoder renders exactly from growing without end: Rybkin et al. 2021
    (arXiv:2006.13202), section 5.
    """

    def parameters(hparams, pixels):
        mean, raw = jnp.split(pixels, 2, axis=-1)
        floor = jnp.log(hparams.sigma_floor)
        return mean, floor + jax.nn.softplus(raw + jnp.log(hparams.sigma) - floor)

    def nll(params, hparams, pixels, target, weight, include_const=True):
        del params
        mean, log_sigma = parameters(hparams, pixels)
        return losses.gaussian_nll(mean, log_sigma, target, weight, include_const)

    def sample(key, params, hparams, pixels):
        del params
        mean, log_sigma = parameters(hparams, pixels)
        return mean + jnp.exp(log_sigma) * jax.random.normal(key, mean.shape)

    loss = functools.partial(nll, include_const=options.include_const)
    return Likelihood("density", 2, dict, nll, loss, _first_half, sample)


def _discretized_logistic(options: Options) -> Likelihood:
    """Outputs are each pixel's location before a sigmoid, and the log of its scale.

    The location is the mean but for what tails beyond black and white would add.
    """
    width = options.bin_width
    lowest = (1 - (LEVELS - 1) * width) / 2  # the middle of the first bin

    def mean(pixels):
        return jnp.clip(jax.nn.sigmoid(_first_half(pixels)), MARGIN, 1 - MARGIN)

    def log_scale(pixels):
        return jnp.clip(jnp.split(pixels, 2, axis=-1)[1], *LOG_SCALES)

    def nll(params, hparams, pixels, target, weight):
        del params, hparams
        parameters = mean(pixels), log_scale(pixels)
        return losses.discretized_logistic_nll(*parameters, target, width, weight)

    def sample(key, params, hparams, pixels):
        del params, hparams
        at = mean(pixels)
        x = at + jnp.exp(log_scale(pixels)) * jax.random.logistic(key, at.shape)
        level = jnp.clip(jnp.round((x - lowest) / width), 0, LEVELS - 1)
        return lowest + width * level

    return Likelihood("mass", 2, dict, nll, nll, mean, sample)


def _first_half(pixels: Float[Array, "B H W P"]) -> Float[Array, "B H W P//2"]:
    return jnp.split(pixels, 2, axis=-1)[0]


BUILDERS = {
    "bce": _bernoulli,
    "continuous_bernoulli": _continuous_bernoulli,
    "gaussian": _gaussian,
    "gaussian_per_pixel": _gaussian_per_pixel,
    "laplace": _laplace,
    "discretized_logistic": _discretized_logistic,
}
NAMES = tuple(BUILDERS)
