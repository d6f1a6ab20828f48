"""Fixed functions from images to features, by which sets of images are compared."""

import math

from vae_jax.contracts import Extractor
from vae_jax.extractors import inception, mnist_classifier, pixels

MOST_PIXELS = 4096  # whose covariance takes 128 MB, and whose root a minute


def named(name: str, data_name: str, image_shape: tuple[int, int, int]) -> str:
    """The extractor that ``eval.extractor`` means for a data set, or ``none``.

    ``auto`` needs no network: the classifier for what it was trained on, else pixels,
    if there are not too many.
    """
    if name != "auto":
        return name
    if data_name == "mnist":
        return "mnist_classifier"
    return "pixels" if math.prod(image_shape) <= MOST_PIXELS else "none"


def build(
    name: str, image_shape: tuple[int, int, int], inception_weights: str
) -> Extractor:
    """The extractor of that name, its weights found and checked.

    Args:
        name: ``mnist_classifier``, ``inception`` or ``pixels``.
        image_shape: height, width and channels.
        inception_weights: see ``inception.build``.

    Raises:
        ValueError: if there is none, or its weights are damaged.
        FileNotFoundError: if its weights cannot be had.
    """
    makers = {
        "mnist_classifier": mnist_classifier.build,
        "inception": lambda: inception.build(inception_weights),
        "pixels": lambda: pixels.build(image_shape),
    }
    num = math.prod(image_shape)
    if name == "pixels" and num > MOST_PIXELS:
        raise ValueError(
            f"pixels: must be at most {MOST_PIXELS} values an image, got {num}; for "
            "larger ones there is eval.extractor=inception"
        )
    if name not in makers:
        raise ValueError(f"extractor: must be one of {', '.join(makers)}, got {name!r}")
    return makers[name]()
