"""The pixels themselves as features, for images of any kind."""

import math

import numpy as np
from jaxtyping import Float, Shaped

from vae_jax.contracts import Extractor
from vae_jax.extractors.checks import check_images

NAME = "pixels"


def build(image_shape: tuple[int, int, int]) -> Extractor:
    """Every value v as v/255, row by row; ``sha256`` is "", as there are no weights.

    A covariance of full rank takes more images than an image has values.

    Args:
        image_shape: height, width and channels. ``features`` raises ValueError for
            images of another shape and for none at all, TypeError for another dtype.
    """

    def features(images: Shaped[np.ndarray, "..."]) -> Float[np.ndarray, "N D"]:
        check_images(NAME, images, image_shape)
        return images.reshape(len(images), -1) / np.float64(255)

    return Extractor(NAME, "", math.prod(image_shape), features)
