"""The axes after the batch: one event for each example."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def flat(
    given: Float[Array, "B ..."], targets: Float[Array, "B ..."], weights: Array | float
) -> tuple[Float[Array, "B N"], Float[Array, "B N"], Array | float]:
    """The event on one axis: with a last one of length 1, XLA's CPU loops crawl."""
    if jnp.ndim(weights):
        shape = (len(weights), *targets.shape[1:])
        weights = jnp.broadcast_to(weights, shape).reshape(len(weights), -1)
    batch = len(targets)
    return given.reshape(batch, -1), targets.reshape(batch, -1), weights


def sum_event(x: Float[Array, "B ..."]) -> Float[Array, " B"]:
    return x.reshape(x.shape[0], -1).sum(axis=-1)


def require_same_shape(where: str, **arrays: Array) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        listing = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{where}: shapes must be equal, got {listing}")
