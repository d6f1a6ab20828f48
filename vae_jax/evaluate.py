"""Terms of the bound over a whole data set, and what pictures need from a model."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from vae_jax import losses, pixels
from vae_jax.contracts import Hparams, Model, Objective, Params

# Evaluation draws its own latents, the same for every epoch, run and seed.
KEY = 2_860_486_313  # not a seed that a user is likely to choose


ACTIVE = 0.01  # variance of the posterior mean over images, above which a unit counts


class Estimate(NamedTuple):
    """A mean over images and how far it may be off by the choice of images."""

    value: float
    standard_error: float  # NaN for a single image
    n: int


def make_terms(
    model: Model, objective: Objective, *, scale: str, batch_size: int
) -> Callable[[Params, np.ndarray, Hparams], dict[str, np.ndarray]]:
    """``terms(params, images, hparams)``: recon, kl and elbo of every image, in nats.

    Each image has a key of its own, so its terms depend on neither the batch size nor
    the other images. The images may lie on the host.
    """

    @jax.jit
    def of_batch(params, images, rows, hparams):
        def of_image(x, row):
            key = jax.random.fold_in(jax.random.key(KEY), row)
            terms = objective(model, params, x[None], key, hparams)[1]
            return jax.tree.map(lambda values: values[0], terms)

        return jax.vmap(of_image)(pixels.to_float(images, scale), rows)

    def terms(params: Params, images: np.ndarray, hparams: Hparams):
        def of(batch, rows):
            return of_batch(params, batch, rows, hparams)

        return in_batches(of, images, batch_size)

    return terms


def in_batches(function: Callable, images: np.ndarray, batch_size: int) -> PyTree:
    """``function(batch, rows)`` of all images, in batches of one size, on the host.

    The last batch is filled up with its last image, whose results are cut off again:
    any number of images takes one compilation.
    """
    pieces = []
    for start in range(0, len(images), batch_size):
        rows = np.arange(start, start + batch_size)
        batch = images[np.minimum(rows, len(images) - 1)]
        found = jax.device_get(function(batch, rows))
        left = len(images) - start
        pieces.append(jax.tree.map(lambda values, left=left: values[:left], found))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *pieces)


def estimate(values: Float[np.ndarray, " N"]) -> Estimate:
    """The mean of per-image values with its standard error, summed in float64."""
    values = np.asarray(values, np.float64)
    spread = values.std(ddof=1) if len(values) > 1 else math.nan
    return Estimate(
        float(values.mean()), float(spread / len(values) ** 0.5), len(values)
    )


def bound_kind(likelihood_kind: str, binary: bool) -> str:
    """What the ELBO of this likelihood bounds on this data.

    ``probability_mass`` and ``density`` are log-likelihoods. ``cross_entropy`` is not:
    Bernoulli pixels with grey targets, which no distribution over images generates.
    """
    if likelihood_kind == "density":
        return "density"
    return "probability_mass" if binary else "cross_entropy"


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


@functools.partial(jax.jit, static_argnums=0)
def reconstruct(
    model: Model, params: Params, x: Float[Array, "B H W C"], hparams: Hparams
) -> Float[Array, "B h w C"]:
    """E[x|z] at the posterior's mean, at the resolution of the model's stage."""
    out = model.apply(params, x, None, hparams.alpha)
    return model.likelihood.mean(out.pixels)


def posterior_means(
    model: Model,
    params: Params,
    images: np.ndarray,
    hparams: Hparams,
    *,
    scale: str,
    batch_size: int,
) -> tuple[Float[np.ndarray, "N Z"], ...]:
    """The mean of every group of latents for every image, which may lie on the host."""

    def of(batch, rows):
        del rows
        return _posterior_means(model, scale, params, batch, hparams)

    return in_batches(of, images, batch_size)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _posterior_means(model, scale, params, images, hparams):
    latents = model.encode(params, pixels.to_float(images, scale), None, hparams.alpha)
    return tuple(latent.posterior.mean for latent in latents)


def active_units(means: Float[np.ndarray, "N Z"]) -> int:
    """How many latents know anything of the image: whose posterior mean varies.

    Source:
        Burda et al. 2016 (arXiv:1509.00519), section 5.2: Cov_x(E[z|x]) > 0.01.
    """
    return int((np.asarray(means, np.float64).var(axis=0) > ACTIVE).sum())


@functools.partial(jax.jit, static_argnums=0)
def decode_means(
    model: Model, params: Params, zs: tuple[Float[Array, "B Z"], ...], hparams: Hparams
) -> Float[Array, "B H W C"]:
    """E[x|z] of given latents."""
    return model.likelihood.mean(model.decode(params, zs, hparams.alpha))


@functools.partial(jax.jit, static_argnums=(0, 3))
def sample_means(
    model: Model, params: Params, key: PRNGKeyArray, num: int, hparams: Hparams
) -> Float[Array, "N H W C"]:
    """E[x|z] of ``num`` latents from the prior."""
    zs = model.sample_prior(params, key, num)
    return model.likelihood.mean(model.decode(params, zs, hparams.alpha))
