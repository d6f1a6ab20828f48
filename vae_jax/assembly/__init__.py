"""A config turned into data and functions."""

from vae_jax.assembly.job import Job, build, load_data, total_epochs
from vae_jax.assembly.phase import Phase, optimiser

__all__ = [
    "Job",
    "Phase",
    "build",
    "load_data",
    "optimiser",
    "total_epochs",
]
