"""Features of the small classifier in the package, for grey 28x28 images of digits.

Distances between them are called ``fd_mnist_classifier``. They are not comparable with
those of any other network; README.md beside this file says how the weights were made.
"""

import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Shaped, UInt8

from vae_jax import evaluate, pixels
from vae_jax.contracts import Extractor, Params
from vae_jax.data import npz
from vae_jax.extractors.checks import check_images
from vae_jax.models import classifier

NAME = "mnist_classifier"
WEIGHTS = pathlib.Path(__file__).with_name("mnist_classifier.npz")
SHA256 = "4efc257150489a30ef74ca80fcd965879e958778f74ca52128b104e08394fd1c"
BATCH = 500
INSTEAD = "; for other images there are the extractors pixels and inception"


def build() -> Extractor:
    """The extractor of the weights in the package.

    Its ``features`` takes ``uint8 [N, 28, 28, 1]``; it raises TypeError for another
    dtype and ValueError for another shape. Images of another size are not scaled or
    cropped: a distance would then measure that too.

    Raises:
        FileNotFoundError: if the weights are not there.
        ValueError: if they are damaged or others.
    """
    params = load(WEIGHTS)

    def features(images: Shaped[np.ndarray, "..."]) -> Float[np.ndarray, "N D"]:
        check_images(NAME, images, classifier.IMAGE_SHAPE, INSTEAD)
        found = evaluate.in_batches(
            lambda batch, rows: _features(params, batch), images, BATCH
        )
        return found.astype(np.float64)

    return Extractor(NAME, SHA256, classifier.FEATURES, features)


@jax.jit
def _features(
    params: Params, images: UInt8[Array, "B 28 28 1"]
) -> Float[Array, "B 64"]:
    return classifier.features(params, pixels.to_float(images, "unit"))


def load(path: pathlib.Path, sha256: str = SHA256) -> Params:
    """The classifier's parameters, on the host.

    Args:
        path: an npz file of ``fit_mnist_classifier``.
        sha256: that ``digest`` must give of its arrays.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or holds other arrays.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: must be the weights of {NAME}, which come with the package or "
            f"from python -m vae_jax.extractors.fit_mnist_classifier, got no file"
        )
    shapes = classifier.shapes()
    arrays = npz.read(path, tuple(flatten(shapes)))
    got = digest(arrays)
    if got != sha256:
        raise ValueError(
            f"{path}: must hold the weights of {NAME}, sha256 {sha256}, "
            f"got others, sha256 {got}"
        )
    return {
        layer: {leaf: arrays[f"{layer}.{leaf}"] for leaf in leaves}
        for layer, leaves in shapes.items()
    }


def flatten(params: Params) -> dict[str, Any]:
    """``{"layer.leaf": array}``, in the alphabet's order."""
    return {
        f"{layer}.{leaf}": params[layer][leaf]
        for layer in sorted(params)
        for leaf in sorted(params[layer])
    }


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """sha256, in hex, of the arrays with their names, types and shapes.

    It says which numbers they are, however the file that holds them was packed.
    """
    content = hashlib.sha256()
    for name in sorted(arrays):
        # "<f4" and not "float32": the bytes of the other order are other numbers.
        array = np.ascontiguousarray(arrays[name])
        content.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        content.update(array.reshape(-1).view(np.uint8))
    return content.hexdigest()
