"""Data sets as arrays on the host, in memory or in files: numpy in, numpy out, no JAX.

``load`` is the one door. Everything behind it is checked once, here, and never again.
"""

from vae_jax.data.dataset import Dataset, Split, Wanted
from vae_jax.data.digests import digest
from vae_jax.data.loading import BINARIZE, NAMES, binarized_once, load
from vae_jax.data.mapped import Images, Mapped, blocks, mean, only, read

__all__ = [
    "BINARIZE",
    "NAMES",
    "Dataset",
    "Images",
    "Mapped",
    "Split",
    "Wanted",
    "binarized_once",
    "blocks",
    "digest",
    "load",
    "mean",
    "only",
    "read",
]
