"""What is measured: the shipped MNIST configs, and the images that they train on."""

import importlib
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from vae_jax.data import idx

MNIST = "train-images-idx3-ubyte"
SHAPE = (28, 28, 1)


class Case(NamedTuple):
    """One model at one point of its training."""

    name: str
    config: str  # a module of configs/
    stage: int = 0
    fading: bool = False  # in the middle of the stage's fade; else after it

    @property
    def alpha(self) -> float:
        """The share of the newest stage at which both sides are compared."""
        return 0.5 if self.fading else 1.0


CASES = {
    case.name: case
    for case in (
        Case("mlp", "mnist_mlp"),
        Case("cnn", "mnist_cnn"),
        *(Case(f"provae{stage}", "mnist_provae", stage) for stage in range(4)),
        *(Case(f"provae{s}-fade", "mnist_provae", s, fading=True) for s in (1, 2, 3)),
    )
}
DEFAULT = ("mlp", "cnn", "provae0", "provae1", "provae2", "provae3")


def find(name: str) -> Case:
    """The case of that name.

    Raises:
        ValueError: if there is none.
    """
    if name not in CASES:
        raise ValueError(f"models: must be of {', '.join(CASES)}, got {name!r}")
    return CASES[name]


def config(case: Case, changes: dict[str, Any]) -> ConfigDict:
    """The case's config, with some of its fields changed."""
    found = importlib.import_module(f"configs.{case.config}").get_config()
    found.update_from_flattened_dict(changes)
    return found


def images(num: int, shape: tuple[int, int, int] = SHAPE) -> tuple[UInt8, str]:
    """MNIST's first training images from ``$VAE_JAX_DATA_DIR``, else random ones.

    Where there are none, the time of a step is the same: it does not depend on values.

    Returns:
        uint8 images ``[num, H, W, C]``, and what they are.
    """
    folder = pathlib.Path(os.environ.get("VAE_JAX_DATA_DIR", "."))
    for place in (folder, folder / "mnist"):
        for path in (place / MNIST, place / f"{MNIST}.gz"):
            if path.is_file() and shape == SHAPE:
                return idx.read(path)[:num, ..., None], "MNIST"
    drawn = np.random.default_rng(0).integers(0, 256, (num, *shape), np.uint8)
    return drawn, "random images of MNIST's shape"
