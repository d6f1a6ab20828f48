"""Data sets as arrays on the host: numpy in, numpy out, no JAX.

``load`` is the one door. Everything behind it is checked once, here, and never again.
"""

from vae_jax.data.dataset import Dataset, Split, Wanted, digest
from vae_jax.data.loading import BINARIZE, NAMES, load

__all__ = ["BINARIZE", "NAMES", "Dataset", "Split", "Wanted", "digest", "load"]
