"""Draws of latents."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def reparameterize(
    key: PRNGKeyArray | None,
    mean: Float[Array, "B Z"],
    logvar: Float[Array, "B Z"],
) -> Float[Array, "B Z"]:
    """A draw from N(mean, exp(logvar)), differentiable in both; the mean if no key.

    Source:
        Kingma & Welling 2014 (arXiv:1312.6114), section 2.4.
    """
    if key is None:
        return mean
    return mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)


def draws(
    key: PRNGKeyArray,
    mean: Float[Array, "B Z"],
    logvar: Float[Array, "B Z"],
    num: int,
) -> Float[Array, "S B Z"]:
    """``num`` independent draws of ``reparameterize``, one key each."""
    keys = jax.random.split(key, num)
    return jax.vmap(lambda one: reparameterize(one, mean, logvar))(keys)
