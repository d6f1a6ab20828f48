"""What training minimises: functions of the type ``contracts.Objective``.

Only ``loss`` differs between them, and only ``loss`` may depend on the rest of the
batch. Given one key, all report the same ``recon``, ``kl`` and ``elbo``.
"""

from vae_jax.contracts import Objective
from vae_jax.objectives.evidence import elbo
from vae_jax.objectives.importance import ESTIMATORS, weighted
from vae_jax.objectives.terms import KLS, log_ratio, reconstruction

__all__ = [
    "ESTIMATORS",
    "KLS",
    "NAMES",
    "build",
    "elbo",
    "log_ratio",
    "reconstruction",
    "weighted",
]

NAMES = ("elbo", *ESTIMATORS)


def build(
    name: str, kl: str, kl_samples: int, *, iw_samples: int, tc_images: int
) -> Objective:
    """The objective of a name, one of ``NAMES``.

    Args:
        name: ``elbo``, which alone takes ``tc_images``, or one of ``ESTIMATORS``,
            which alone take ``iw_samples``.
        kl: see ``elbo``.
        kl_samples: see ``elbo``.
        iw_samples: see ``weighted``.
        tc_images: see ``elbo``.

    Raises:
        ValueError: if there is no such objective, or no such estimator of the KL.
    """
    if name not in NAMES:
        raise ValueError(f"objective: must be one of {', '.join(NAMES)}, got {name!r}")
    if name == "elbo":
        return elbo(kl, kl_samples, tc_images)
    return weighted(name, iw_samples, kl, kl_samples)
