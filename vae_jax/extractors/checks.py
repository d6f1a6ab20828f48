"""What images must be before features are taken of them."""

import numpy as np
from jaxtyping import Shaped


def check_images(
    name: str,
    images: Shaped[np.ndarray, "..."],
    image_shape: tuple[int, int, int],
    instead: str = "",
) -> None:
    """Refuses what is not ``uint8 [N, *image_shape]`` with N of 1 or more.

    Args:
        name: of the extractor.
        images: to be checked.
        image_shape: height, width and channels.
        instead: what to do with images of another shape, for the message.

    Raises:
        TypeError: if the dtype is wrong.
        ValueError: if the shape is.
    """
    if images.dtype != np.uint8:
        raise TypeError(f"{name}: images must be uint8, got {images.dtype}")
    if images.ndim != 4 or not len(images) or images.shape[1:] != image_shape:
        wanted = ", ".join(map(str, image_shape))
        raise ValueError(
            f"{name}: images must be [N, {wanted}] and not none, "
            f"got shape {images.shape}{instead}"
        )
