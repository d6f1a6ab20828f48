"""How far one set of features is from another: real images and generated ones.

Pure functions of features ``[N, D]``, one row per image, in float64 on the host. What
the features are, the caller says: a distance is comparable only with one that was
measured on the same features and the same number of images.
"""

from vae_jax.distances.frechet import (
    Extrapolation,
    Moments,
    frechet_distance,
    frechet_infinity,
    moments,
)
from vae_jax.distances.kernel import Kid, kid
from vae_jax.distances.neighbours import Prdc, prdc

__all__ = [
    "Extrapolation",
    "Kid",
    "Moments",
    "Prdc",
    "frechet_distance",
    "frechet_infinity",
    "kid",
    "moments",
    "prdc",
]
