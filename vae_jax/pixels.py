"""From stored images to what a model sees."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

SCALES = ("unit", "centred")
BIN_WIDTHS = {"unit": 1 / 255, "centred": 1 / 256}  # one grey level, after scaling


def to_float(
    images: UInt8[Array, "B H W C"] | Float[Array, "B H W C"], scale: str
) -> Float[Array, "B H W C"]:
    """Bytes as float32 in [0, 1]; floats pass unchanged.

    ``unit`` is v/255: black is 0 and white is 1. ``centred`` is (v + 0.5)/256, the
    middle of each level's share of [0, 1].
    """
    if images.dtype != jnp.uint8:
        return images
    return scaled(images.astype(jnp.float32), scale)


def scaled(
    levels: Float[Array, "..."] | Float[np.ndarray, "..."], scale: str
) -> Float[Array, "..."] | Float[np.ndarray, "..."]:
    """Grey levels, or means of them, from 0 to 255, as numbers in [0, 1]."""
    return levels / 255.0 if scale == "unit" else (levels + 0.5) / 256.0


def to_bytes(
    x: Float[np.ndarray, "B H W C"] | UInt8[np.ndarray, "B H W C"], scale: str
) -> UInt8[np.ndarray, "B H W C"]:
    """The nearest of the 256 levels, on the host; bytes pass unchanged.

    Undoes ``to_float``. What lies outside of the levels becomes black or white.

    Raises:
        ValueError: if a value is not finite.
    """
    if x.dtype == np.uint8:
        return x
    if not np.isfinite(x).all():
        count = (~np.isfinite(x)).any(axis=(1, 2, 3)).sum()
        raise ValueError(
            f"images: must be finite, got {count} of {len(x)} that are not"
        )
    levels = 255.0 * x if scale == "unit" else 256.0 * x - 0.5
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)


def binarize(key: PRNGKeyArray, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Draws each pixel as a Bernoulli whose probability is its grey value.

    Source:
        Salakhutdinov & Murray 2008; "dynamic" when repeated for every batch.
    """
    return (jax.random.uniform(key, x.shape) < x).astype(jnp.float32)
