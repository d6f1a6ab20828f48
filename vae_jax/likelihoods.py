"""p(x|z): how the decoder's output is compared with an image, pictured and sampled."""

import functools
import math

import jax
import jax.numpy as jnp

from vae_jax import losses
from vae_jax.contracts import Likelihood

NAMES = ("bce", "gaussian")


def build(
    name: str, *, sigma: float, sigma_learnable: bool, include_const: bool
) -> Likelihood:
    """The likelihood that ``loss.recon`` names.

    Args:
        name: ``bce``, Bernoulli pixels given as logits, or ``gaussian``, pixels with
            one standard deviation for the whole data set.
        sigma: where a learnable sigma starts. A fixed one is read from ``Hparams``.
        sigma_learnable: whether log sigma is a parameter.
        include_const: whether the loss contains 0.5 log(2 pi) per value.

    Raises:
        ValueError: if there is no such likelihood.
    """
    if name == "bce":
        return _bernoulli()
    if name == "gaussian":
        return _gaussian(sigma, sigma_learnable, include_const)
    raise ValueError(f"likelihood: must be one of {', '.join(NAMES)}, got {name!r}")


def _bernoulli() -> Likelihood:
    def nll(params, hparams, pixels, target, weight):
        del params, hparams
        return losses.bernoulli_nll(pixels, target, weight)

    def sample(key, params, hparams, pixels):
        del params, hparams
        probs = jax.nn.sigmoid(pixels)
        return jax.random.bernoulli(key, probs).astype(jnp.float32)

    return Likelihood("mass", 1, dict, nll, nll, jax.nn.sigmoid, sample)


def _gaussian(sigma: float, learnable: bool, include_const: bool) -> Likelihood:
    def init():
        return {"log_sigma": jnp.float32(math.log(sigma))} if learnable else {}

    def log_sigma(params, hparams):
        return params["log_sigma"] if learnable else jnp.log(hparams.sigma)

    def nll(params, hparams, pixels, target, weight, include_const=True):
        scale = log_sigma(params, hparams)
        return losses.gaussian_nll(pixels, scale, target, weight, include_const)

    def sample(key, params, hparams, pixels):
        noise = jax.random.normal(key, pixels.shape)
        return pixels + jnp.exp(log_sigma(params, hparams)) * noise

    loss = functools.partial(nll, include_const=include_const)
    return Likelihood("density", 1, init, nll, loss, lambda pixels: pixels, sample)
