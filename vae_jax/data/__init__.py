"""Data sets as arrays on the host: numpy in, numpy out, no JAX.

``load`` is the one door. Everything behind it is checked once, here, and never again.
"""

from vae_jax.data.dataset import Dataset, Split, Wanted, digest
from vae_jax.data.loading import BINARIZE, NAMES, binarized_once, load

__all__ = [
    "BINARIZE",
    "NAMES",
    "Dataset",
    "Split",
    "Wanted",
    "binarized_once",
    "digest",
    "load",
]
