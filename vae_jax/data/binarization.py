"""Grey images to black and white: every result is uint8, 0 or 255."""

import numpy as np
from jaxtyping import Float32, UInt8

Grey = UInt8[np.ndarray, "..."] | Float32[np.ndarray, "..."]

# Of its own, so that no other seed changes the set on which models are compared.
SEED = 20141031


def threshold(images: Grey) -> UInt8[np.ndarray, "..."]:
    """White where the byte is 128 or more, or the float 0.5 or more."""
    middle = 128 if images.dtype == np.uint8 else 0.5
    return _black_and_white(images >= middle)


def sample(images: Grey, stream: int) -> UInt8[np.ndarray, "..."]:
    """White with probability v/255, exactly, or v of a float; alike at every call.

    Args:
        images: grey values v.
        stream: which of the independent fixed sources of randomness to draw from.
    """
    rng = np.random.default_rng([SEED, stream])
    if images.dtype == np.uint8:
        # Of the 255 values 0 to 254, v are less than v: none for 0, all for 255.
        draws = rng.integers(0, 255, size=images.shape, dtype=np.uint8)
    else:
        draws = rng.random(images.shape, dtype=np.float32)  # in [0, 1)
    return _black_and_white(draws < images)


def _black_and_white(white: np.ndarray) -> UInt8[np.ndarray, "..."]:
    return np.where(white, np.uint8(255), np.uint8(0))
