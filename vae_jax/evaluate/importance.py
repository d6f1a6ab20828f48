"""The importance-weighted bound on log p(x), and how far its weights can be trusted."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from vae_jax import mesh, objectives
from vae_jax.contracts import Hparams, Model, Params
from vae_jax.data import Images
from vae_jax.evaluate.batches import in_batches, of_each

IMAGES_AT_ONCE = 50
# Pixels that are decoded at once, 4 bytes each in every array of their size; fewer of
# a model that takes more.
PIXELS_AT_ONCE = 2**20


class Importance(NamedTuple):
    """Of every image."""

    bound: Float[np.ndarray, " N"]  # log of the mean weight, in nats
    ess: Float[np.ndarray, " N"]  # effective sample size: from 1 to that of samples


class Sums(NamedTuple):
    """Of weights so far, as shares of the largest, whose logarithm is ``peak``."""

    peak: Float[Array, ""]
    first: Float[Array, ""]
    second: Float[Array, ""]  # of their squares


def make_bound(
    model: Model, *, scale: str, batch_size: int
) -> Callable[..., Importance]:
    """``bound(params, images, hparams, samples)``, which is IWAE's with K samples.

    The mean over images rises with K from the ELBO towards log p(x). One sample
    dominates where ``ess`` is near 1: the bound may then be far below.

    Memory does not depend on K. An image's draws depend on its row alone. A further
    argument, ``tell``, hears how many images are done.

    Raises:
        ValueError: if there are no samples.

    Source:
        Burda et al. 2016 (arXiv:1509.00519), equation 8. Kong 1992, for the effective
        sample size: (sum of w)^2 / sum of w^2.
    """
    images_at_once = min(batch_size, IMAGES_AT_ONCE)
    pixels = images_at_once * math.prod(model.image_shape) * model.floats_per_pixel
    at_once = max(PIXELS_AT_ONCE // pixels, 1)

    @jax.jit
    def of_batch(params, images, rows, hparams, samples):
        def of_image(x, key):
            weight = functools.partial(log_weight, model, params, x, hparams)
            return _bound(jax.vmap(weight), key, samples, at_once)

        return of_each(of_image, images, rows, scale)

    def bound(
        params: Params, images: Images, hparams: Hparams, samples: int, **tell
    ) -> Importance:
        if samples < 1:
            raise ValueError(f"samples: must be at least 1, got {samples}")

        def of(batch, rows):
            return of_batch(params, batch, rows, hparams, samples)

        over = mesh.under(params)
        return in_batches(of, images, images_at_once, over=over, **tell)

    return bound


def log_weight(
    model: Model,
    params: Params,
    x: Float[Array, "1 H W C"],
    hparams: Hparams,
    key: PRNGKeyArray,
) -> Float[Array, ""]:
    """Log p(x, z) - log q(z|x) of one draw of all groups of latents."""
    out = model.apply(params, x, key, hparams.alpha)
    nll, _ = objectives.reconstruction(model, params, x, out.pixels, hparams)
    return -(nll + sum(map(objectives.log_ratio, out.latents)))[0]


def _bound(log_weights, key, samples, at_once) -> Importance:
    """Of one image, in pieces of ``at_once`` samples."""

    def piece(index, sums):
        which = index * at_once + jnp.arange(at_once)
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(which)
        found = jnp.where(which < samples, log_weights(keys), -jnp.inf)
        peak = jnp.maximum(sums.peak, found.max())
        # As long as all weights are 0, they have no largest to be shares of.
        largest = jnp.where(jnp.isneginf(peak), 0.0, peak)
        rescale, shares = jnp.exp(sums.peak - largest), jnp.exp(found - largest)
        return Sums(
            peak,
            sums.first * rescale + shares.sum(),
            sums.second * rescale**2 + jnp.square(shares).sum(),
        )

    nothing = Sums(*map(jnp.float32, (-jnp.inf, 0.0, 0.0)))
    sums = lax.fori_loop(0, -(-samples // at_once), piece, nothing)
    return Importance(
        sums.peak + jnp.log(sums.first) - jnp.log(samples),
        jnp.square(sums.first) / sums.second,
    )
