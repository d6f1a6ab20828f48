"""Grey bytes to black and white: every result is uint8, 0 or 255."""

import numpy as np
from jaxtyping import UInt8

# Of its own, so that no other seed changes the set on which models are compared.
SEED = 20141031


def threshold(images: UInt8[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """White where the byte is 128 or more."""
    return np.where(images >= 128, np.uint8(255), np.uint8(0))


def sample(images: UInt8[np.ndarray, "..."], stream: int) -> UInt8[np.ndarray, "..."]:
    """White with probability v/255, exactly; the same at every call.

    Args:
        images: grey bytes v.
        stream: which of the independent fixed sources of randomness to draw from.
    """
    rng = np.random.default_rng([SEED, stream])
    # Of the 255 values 0 to 254, v are less than v: none for 0, all for 255.
    draws = rng.integers(0, 255, size=images.shape, dtype=np.uint8)
    return np.where(draws < images, np.uint8(255), np.uint8(0))
