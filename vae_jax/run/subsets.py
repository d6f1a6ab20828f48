"""Which images of a set are evaluated, and how they are gone through."""

from typing import Any

import numpy as np
from jaxtyping import Int

from vae_jax import data
from vae_jax.run.session import Session

SEED = 0  # the same images for every run


def some_of(images: data.Images, num: int) -> data.Images:
    """All of them, or as many at random: the first ones may be of another kind."""
    if num >= len(images):
        return images
    return data.only(images, some_rows(len(images), num))


def some_rows(total: int, num: int) -> Int[np.ndarray, " M"]:
    """Of so many images at random, in order; of all, if there are no more."""
    return np.sort(np.random.default_rng(SEED).permutation(total)[:num])


def over_images(session: Session) -> dict[str, Any]:
    return {
        "scale": session.config.data.scale,
        "batch_size": session.config.eval.batch_size,
    }
