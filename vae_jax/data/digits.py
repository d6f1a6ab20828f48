"""The 1797 8x8 digits inside the package: needs no network and no folder.

UCI "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, 1998,
CC BY 4.0; README.md beside this file says how ``digits.npz`` was made.
"""

import pathlib

import numpy as np

from vae_jax.data import npz
from vae_jax.data.dataset import Raw, Split

PATH = pathlib.Path(__file__).with_name("digits.npz")


def load() -> Raw:
    """All images in their stored order; none of them is set apart for the test.

    The stored pixels v = 0 to 16 become the bytes (v * 255 + 8) // 16, which is
    v / 16 * 255 rounded to the nearest.
    """
    arrays = npz.read(PATH, ("images", "labels"))
    levels = arrays["images"][..., None].astype(np.uint16)
    images = ((levels * 255 + 8) // 16).astype(np.uint8)
    return Raw("package", Split(images, arrays["labels"].astype(np.int32)))
