"""The 1797 8x8 digits inside the package: needs no network and no folder.

UCI "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, 1998,
CC BY 4.0; README.md beside this file says how ``digits.npz`` was made.
"""

import pathlib

import numpy as np

from vae_jax.data import npz
from vae_jax.data.dataset import Raw, Split

PATH = pathlib.Path(__file__).with_name("digits.npz")
TEST_SIZE = 297


def load(split_seed: int) -> Raw:
    """1500 training and 297 test images, in an order that ``split_seed`` decides.

    The stored pixels v = 0 to 16 become the bytes (v * 255 + 8) // 16, which is
    v / 16 * 255 rounded to the nearest.
    """
    arrays = npz.read(PATH, ("images", "labels"))
    order = np.random.default_rng(split_seed).permutation(len(arrays["images"]))
    levels = arrays["images"][order, :, :, None].astype(np.uint16)
    images = ((levels * 255 + 8) // 16).astype(np.uint8)
    labels = arrays["labels"][order].astype(np.int32)
    return Raw(
        source="package",
        train=Split(images[TEST_SIZE:], labels[TEST_SIZE:]),
        test=Split(images[:TEST_SIZE], labels[:TEST_SIZE]),
    )
