"""The bound and its terms, and what it is a bound on."""

from collections.abc import Callable

import jax
import numpy as np

from vae_jax import losses, mesh, pixels
from vae_jax.contracts import Hparams, Model, Objective, Params
from vae_jax.data import Images
from vae_jax.evaluate.batches import Estimate, in_batches, of_each


def make_terms(
    model: Model, objective: Objective, *, scale: str, batch_size: int
) -> Callable[[Params, Images, Hparams], dict[str, np.ndarray]]:
    """``terms(params, images, hparams)``: recon, kl and elbo of every image, in nats.

    Each image has a key of its own, so its terms depend on neither the batch size nor
    the other images. The images may lie on the host.
    """

    @jax.jit
    def of_batch(params, images, rows, hparams):
        def of_image(x, key):
            terms = objective(model, params, x, key, hparams)[1]
            return jax.tree.map(lambda values: values[0], terms)

        return of_each(of_image, images, rows, scale)

    def terms(params: Params, images: Images, hparams: Hparams):
        def of(batch, rows):
            return of_batch(params, batch, rows, hparams)

        return in_batches(of, images, batch_size, over=mesh.under(params))

    return terms


def bound_kind(likelihood_kind: str, binary: bool, whole: bool) -> str:
    """What the ELBO of this likelihood bounds on this data.

    ``probability_mass`` and ``density`` are log-likelihoods. ``cross_entropy`` is not:
    Bernoulli pixels with grey targets, which no distribution over images generates, or
    averages over pixels, which are of no level and count by their shares.

    Args:
        likelihood_kind: of the model's likelihood.
        binary: whether all targets are 0 or 1.
        whole: whether they are pixels, and not averages over several.
    """
    fits = binary if likelihood_kind == "binary" else whole
    if not fits:
        return "cross_entropy"
    return "density" if likelihood_kind == "density" else "probability_mass"


def bits_per_dim(
    elbo: Estimate, kind: str, num_values: int, scale: str
) -> Estimate | None:
    """The ELBO as bits for each 8-bit value, or None where it is no likelihood."""
    if kind == "cross_entropy":
        return None
    width = pixels.BIN_WIDTHS[scale] if kind == "density" else 1.0
    value = losses.nats_to_bits_per_dim(-elbo.value, num_values, width)
    error = losses.nats_to_bits_per_dim(elbo.standard_error, num_values)
    return Estimate(value, error, elbo.n)
