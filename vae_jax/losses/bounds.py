"""Terms put together: the bound, the scalar to minimise, the units to report."""

import math

from jaxtyping import Array, Float

from vae_jax.losses.events import require_same_shape

REDUCTIONS = ("sum", "mean")


def elbo(
    recon_nll: Float[Array, "B ..."], kl: Float[Array, "B ..."]
) -> Float[Array, "B ..."]:
    """Evidence lower bound, log p(x) >= elbo. Higher is better.

    Raises:
        ValueError: if the shapes differ. Broadcasting is refused.
    """
    require_same_shape("elbo", recon_nll=recon_nll, kl=kl)
    return -(recon_nll + kl)


def batch_loss(
    per_image: Float[Array, "B ..."], reduction: str, num_values: int
) -> Float[Array, ""]:
    """The scalar that is minimised.

    Args:
        per_image: the loss of each image, in nats.
        reduction: ``sum`` gives nats per image, ``mean`` nats per value of an image.
            Both divide every term alike, so beta means the same and the gradients
            are parallel.
        num_values: height times width times channels of the full image.

    Raises:
        ValueError: if ``reduction`` is neither, or there is not one loss an image.
    """
    if per_image.ndim != 1:
        raise ValueError(
            f"per_image: must be one loss for each image, got {per_image.shape}"
        )
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"reduction: must be one of {', '.join(REDUCTIONS)}, got {reduction!r}"
        )
    return per_image.mean() / (num_values if reduction == "mean" else 1)


def nats_to_bits_per_dim(
    nats: Float[Array, " *batch"] | float, num_values: int, bin_width: float = 1.0
) -> Float[Array, " *batch"] | float:
    """Converts a negative log-likelihood per image to bits per dimension.

    Args:
        nats: per image; a cost, so lower is better on both sides.
        num_values: height times width times channels.
        bin_width: 1 for a probability mass. For a density of 8-bit data the width of
            one grey level in the data's units (1/255 for v/255, 1/256 for
            (v + 0.5)/256): the density times the width approximates the mass.
    """
    return nats / (num_values * math.log(2.0)) - math.log2(bin_width)
