"""Draws of latents, and the keys that decide them.

A key is one for all examples, or an array with one for each: what is drawn for an
example then depends on its own key alone, not on the rest of its batch.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Keys = Key[Array, "..."]


def split(key: Keys, num: int = 2) -> Keys:
    """``num`` further keys of the same kind, on a new first axis."""
    if not key.ndim:
        return jax.random.split(key, num)
    return jax.vmap(lambda one: jax.random.split(one, num), out_axes=1)(key)


def fold_in(key: Keys, number: int) -> Keys:
    """A further key of the same kind."""
    if not key.ndim:
        return jax.random.fold_in(key, number)
    return jax.vmap(lambda one: jax.random.fold_in(one, number))(key)


def noise(
    draw: Callable[..., Array], key: Keys, shape: tuple[int, ...]
) -> Float[Array, "B ..."]:
    """``draw(key, shape)``, one of ``jax.random``'s, of one key or of one a row."""
    if not key.ndim:
        return draw(key, shape)
    return jax.vmap(lambda one: draw(one, shape[1:]))(key)


def reparameterize(
    key: Keys | None,
    mean: Float[Array, "B Z"],
    logvar: Float[Array, "B Z"],
) -> Float[Array, "B Z"]:
    """A draw from N(mean, exp(logvar)), differentiable in both; the mean if no key.

    Source:
        Kingma & Welling 2014 (arXiv:1312.6114), section 2.4.
    """
    if key is None:
        return mean
    return mean + jnp.exp(0.5 * logvar) * noise(jax.random.normal, key, mean.shape)


def draws(
    key: Keys,
    mean: Float[Array, "B Z"],
    logvar: Float[Array, "B Z"],
    num: int,
) -> Float[Array, "S B Z"]:
    """``num`` independent draws of ``reparameterize``, one key each."""
    return jax.vmap(lambda one: reparameterize(one, mean, logvar))(split(key, num))
