"""What is measured of a model over a whole data set, and what pictures need of it."""

from vae_jax.evaluate.batches import SEED, Estimate, estimate, in_batches
from vae_jax.evaluate.bounds import bits_per_dim, bound_kind, make_terms
from vae_jax.evaluate.images import (
    batches_of_images,
    decode_means,
    images_of,
    reconstruct,
    sample_means,
)
from vae_jax.evaluate.importance import Importance, make_bound
from vae_jax.evaluate.latents import (
    ACTIVE,
    ANCESTORS,
    Decomposition,
    Draw,
    Posteriors,
    active_units,
    completed,
    decompose_kl,
    draw_latents,
    from_prior,
    has_mixture,
    posterior_means,
    posteriors,
)

__all__ = [
    "ACTIVE",
    "ANCESTORS",
    "SEED",
    "Decomposition",
    "Draw",
    "Estimate",
    "Importance",
    "Posteriors",
    "active_units",
    "batches_of_images",
    "bits_per_dim",
    "bound_kind",
    "completed",
    "decode_means",
    "decompose_kl",
    "draw_latents",
    "estimate",
    "from_prior",
    "has_mixture",
    "images_of",
    "in_batches",
    "make_bound",
    "make_terms",
    "posterior_means",
    "posteriors",
    "reconstruct",
    "sample_means",
]
