"""Priors of a model's coarsest latents: fixed, or learned with everything else.

What they learn is ``params["net"]["prior"]``, which a standard prior leaves out.

Source:
    Tomczak & Welling 2018 (arXiv:1705.07120), section 2, for both learned ones, whose
    components all have the weight 1/K.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from vae_jax import sampling
from vae_jax.contracts import Mixture, Normal, Params

NAMES = ("standard", "mixture", "vamp")
SPREAD = 0.1  # variance of a new mixture's means; with its components' own it is 1


class Prior(NamedTuple):
    """p(z) as pure functions of ``params["net"]``."""

    init: Callable[[PRNGKeyArray], Params]  # part of ``params["net"]``
    # (net, num) -> what ``num`` examples have as ``Latent.prior``
    density: Callable[..., Normal | Mixture]
    sample: Callable[..., Float[Array, "N Z"]]  # (net, key, num)


def build(
    image_shape: tuple[int, int, int],
    z_dim: int,
    encode: Callable[[Params, Float[Array, "K H W C"]], Normal],
    *,
    prior: str,
    prior_components: int,
    pseudo_mean: float,
    pseudo_std: float,
    **_: object,
) -> Prior:
    """The prior of the given name.

    Args:
        image_shape: height, width and channels of the data.
        z_dim: number of latents.
        encode: ``(net, x)`` to the posterior of these latents.
        prior: one of ``NAMES``.
        prior_components: K of a learned one.
        pseudo_mean: of the values with which pseudo-inputs begin.
        pseudo_std: likewise.

    Raises:
        ValueError: if there is no such prior.
    """
    if prior not in NAMES:
        raise ValueError(
            f"model.prior: must be one of {', '.join(NAMES)}, got {prior!r}"
        )
    if prior == "standard":
        return standard(z_dim)
    if prior == "mixture":
        return mixture(z_dim, prior_components)
    shape = (prior_components, *image_shape)
    return vamp(encode, shape, pseudo_mean, pseudo_std)


def standard(z_dim: int) -> Prior:
    """N(0, I)."""

    def density(net, num):
        del net
        zeros = jnp.zeros((num, z_dim))
        return Normal(zeros, zeros)

    def sample(net, key, num):
        del net
        return jax.random.normal(key, (num, z_dim))

    return Prior(lambda key: {}, density, sample)


def mixture(z_dim: int, components: int) -> Prior:
    """A mixture whose means and log-variances are learned.

    It begins near N(0, I): components of variance 0.9 about means of variance 0.1.
    """

    def init(key):
        mean = math.sqrt(SPREAD) * jax.random.normal(key, (components, z_dim))
        logvar = jnp.full((components, z_dim), math.log(1 - SPREAD))
        return {"prior": {"mean": mean, "logvar": logvar}}

    def density(net, num):
        del num
        return equal_parts(Normal(**net["prior"]))

    return Prior(init, density, functools.partial(_sample, density))


def vamp(
    encode: Callable[[Params, Float[Array, "K H W C"]], Normal],
    shape: tuple[int, int, int, int],
    pseudo_mean: float,
    pseudo_std: float,
) -> Prior:
    """VampPrior: the mean of the posteriors at learned pseudo-inputs of this shape."""

    def init(key):
        inputs = pseudo_mean + pseudo_std * jax.random.normal(key, shape)
        return {"prior": {"pseudo_inputs": inputs}}

    def density(net, num):
        del num
        inputs = jnp.clip(net["prior"]["pseudo_inputs"], 0.0, 1.0)
        return equal_parts(encode(net, inputs))

    return Prior(init, density, functools.partial(_sample, density))


def equal_parts(components: Normal) -> Mixture:
    """The mixture of Gaussians with the same weight."""
    num = len(components.mean)
    return Mixture(jnp.full(num, -math.log(num)), *components)


def _sample(density, net, key, num):
    which_key, key = jax.random.split(key)
    log_weights, mean, logvar = density(net, num)
    which = jax.random.categorical(which_key, log_weights, shape=(num,))
    return sampling.reparameterize(key, mean[which], logvar[which])
