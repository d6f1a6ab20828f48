"""Fixed functions from images to features, by which sets of images are compared."""

from vae_jax.contracts import Extractor
from vae_jax.extractors import inception, mnist_classifier, pixels


def named(name: str, data_name: str) -> str:
    """The extractor that ``eval.extractor`` means for a data set.

    ``auto`` needs no network: the classifier for what it was trained on, else pixels.
    """
    if name != "auto":
        return name
    return "mnist_classifier" if data_name == "mnist" else "pixels"


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
    if name not in makers:
        raise ValueError(f"extractor: must be one of {', '.join(makers)}, got {name!r}")
    return makers[name]()
