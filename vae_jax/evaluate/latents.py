"""What the latents know: active units, KL per dimension, parts of the KL."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from vae_jax import losses, mesh, pixels
from vae_jax.contracts import Latent, Mixture, Normal, Trained
from vae_jax.data import Images
from vae_jax.evaluate.batches import float32_products, in_batches, of_each

ACTIVE = 0.01  # variance of the posterior mean over images, above which a unit counts
ANCESTORS = 16  # draws of the coarser groups, on which the posterior of a finer depends
NUMBERS_AT_ONCE = 2**24  # log-densities of draws under posteriors, 4 bytes each


class Posteriors(NamedTuple):
    """Of one group of latents, for every image: means over draws of its ancestors."""

    mean: Float[np.ndarray, "N Z"]
    kl: Float[np.ndarray, "N Z"]  # to the prior, in nats: see ``posteriors``
    noise: Float[np.ndarray, "N Z"]  # variance that the mean has by those draws


class Draw(NamedTuple):
    """A draw of one group of latents for every image."""

    z: Float[np.ndarray, "N Z"]
    posterior: Normal  # that it was drawn from
    log_prior: Float[np.ndarray, " N"]  # log p(z)


class Decomposition(NamedTuple):
    """Parts of KL(q(z|x) || p(z)), in nats for each draw; their sum is its estimate."""

    mutual_information: Float[np.ndarray, " N"]  # log q(z|n) - log q(z)
    total_correlation: Float[np.ndarray, " N"]  # log q(z) - sum_j log q(z_j)
    dimension_wise_kl: Float[np.ndarray, " N"]  # sum_j log q(z_j) - log p(z)


def has_mixture(of: Trained) -> bool:
    """Whether the prior of the coarsest latents is a mixture."""
    nothing = jnp.zeros((1, *of.model.image_shape))
    encode = functools.partial(of.model.encode, key=None, alpha=of.hparams.alpha)
    return isinstance(jax.eval_shape(encode, of.params, nothing)[0].prior, Mixture)


def posterior_means(
    of: Trained, images: Images, *, scale: str, batch_size: int
) -> tuple[Float[np.ndarray, "N _"], ...]:
    """The mean of every group given the means of its ancestors: no draw at all."""
    return _of_all(_posterior_means, of, images, scale, batch_size)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _posterior_means(model, scale, params, images, rows, hparams):
    del rows
    latents = model.encode(params, pixels.to_float(images, scale), None, hparams.alpha)
    return tuple(latent.posterior.mean for latent in latents)


def posteriors(
    of: Trained, images: Images, *, scale: str, batch_size: int
) -> tuple[Posteriors, ...]:
    """Those of every group of latents, for images that may lie on the host.

    The KL of a latent to a Gaussian is exact, given its ancestors: with one group it
    depends on no draw. To a mixture it is estimated, from the draws, and is that to the
    mixture's marginal: it tells which latents are in use, and leaves out what the
    mixture knows of how they go together. So its sum is not that of the group.
    """
    return _of_all(_posteriors, of, images, scale, batch_size)


def from_prior(
    of: Trained, key: PRNGKeyArray, num: int
) -> tuple[Float[np.ndarray, "N _"], ...]:
    """``num`` latents of every group from the prior, on the host."""
    with float32_products():
        return jax.device_get(of.model.sample_prior(of.params, key, num))


def completed(
    of: Trained, key: PRNGKeyArray, coarsest: Float[np.ndarray, "N _"]
) -> tuple[Float[np.ndarray, "N _"], ...]:
    """Latents of every group, those after the coarsest from their priors given it."""
    with float32_products():
        found = of.model.complete(of.params, key, jax.device_put(coarsest))
        return jax.device_get(found)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _posteriors(model, scale, params, images, rows, hparams):
    def of_image(x, key):
        def of_draw(key):
            latents = model.encode(params, x, key, hparams.alpha)
            return tuple(map(_posterior, latents))

        first = of_draw(key)
        if len(first) == 1:  # it has no ancestors
            return first
        every = jax.vmap(of_draw)(jax.random.split(key, ANCESTORS))
        return tuple(map(_over_draws, every))

    return of_each(of_image, images, rows, scale)


def _over_draws(every: Posteriors) -> Posteriors:
    """The means of one group over draws, on the first axis, of its ancestors."""
    noise = every.mean.var(axis=0, ddof=1) / ANCESTORS
    return Posteriors(every.mean.mean(axis=0), every.kl.mean(axis=0), noise)


def _posterior(latent: Latent) -> Posteriors:
    """Of one image, given one draw of the group's ancestors."""
    mean = latent.posterior.mean[0]
    none = jnp.zeros_like(mean)
    if isinstance(latent.prior, Mixture):
        log_q = _log_normal(latent.z, latent.posterior)[0]
        marginals = _log_marginals(latent.z[0], latent.prior)
        return Posteriors(mean, log_q - marginals, none)
    by_dimension = (values[0, :, None] for values in (*latent.posterior, *latent.prior))
    return Posteriors(mean, losses.kl_analytic(*by_dimension), none)


def _log_marginals(z: Float[Array, " Z"], prior: Mixture) -> Float[Array, " Z"]:
    """Of each dimension alone, one after the other: K at a time are many enough."""

    def of_one(numbers):
        z, mean, logvar = (values[..., None] for values in numbers)
        return losses.log_mixture(z[None], prior.log_weights, mean, logvar)[0]

    return lax.map(of_one, (z, prior.mean.T, prior.logvar.T))


def active_units(
    means: Float[np.ndarray, "N Z"], noise: Float[np.ndarray, "N Z"] | None = None
) -> int:
    """How many latents know anything of the image: whose posterior mean varies.

    Args:
        means: of the posterior of every image.
        noise: the variance of each as an estimate, by which it varies without knowing
            anything; none if they are exact.

    Source:
        Burda et al. 2016 (arXiv:1509.00519), section 5.2: Cov_x(E[z|x]) > 0.01.
    """
    variance = np.asarray(means, np.float64).var(axis=0)
    if noise is not None:
        variance -= noise.mean(axis=0, dtype=np.float64)
    return int((variance > ACTIVE).sum())


def draw_latents(
    of: Trained, images: Images, *, scale: str, batch_size: int
) -> tuple[Draw, ...]:
    """One draw of every group of latents for every image, on the host."""
    return _of_all(_draw, of, images, scale, batch_size)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _draw(model, scale, params, images, rows, hparams):
    def of_image(x, key):
        latents = model.encode(params, x, key, hparams.alpha)
        return [Draw(z, q, losses.log_prior(z, *p)) for z, q, p, _ in latents]

    found = of_each(of_image, images, rows, scale)
    return tuple(jax.tree.map(lambda values: values[:, 0], found))


def _of_all(compiled, of: Trained, images: Images, scale: str, batch_size: int):
    def found(batch, rows):
        return compiled(of.model, scale, of.params, batch, rows, of.hparams)

    return in_batches(found, images, batch_size, over=mesh.under(of.params))


def decompose_kl(
    drawn: Draw, tell: Callable[[int], None] = lambda done: None
) -> Decomposition:
    """The KL of one group as mutual information, total correlation and a rest.

    q(z) is the mixture of the posteriors of the N images given, each with weight 1/N,
    without approximation. So the mutual information is one with the index of the
    image, and at most log N. As estimates of what all images there could be would give,
    it is too low and the total correlation and dimension-wise KL are off by as much
    in sum: badly where it comes near log N.

    Takes time and a bounded amount of memory for N^2 Z log-densities.

    ``tell`` hears how many images are done.

    Source:
        Hoffman & Johnson 2016 (ELBO surgery); Chen et al. 2018 (arXiv:1802.04942),
        equation 2.
    """
    num, dims = drawn.z.shape
    at_once = max(NUMBERS_AT_ONCE // (num * dims), 1)
    posterior = jax.tree.map(jnp.asarray, drawn.posterior)

    def of(_, rows):
        own = rows.clip(max=num - 1)
        return _decompose(jax.tree.map(lambda values: values[own], drawn), posterior)

    return in_batches(of, np.asarray(drawn.z), at_once, tell)


@jax.jit
def _decompose(drawn: Draw, every: Normal) -> Decomposition:
    num, dims = every.mean.shape

    def of_draw(z, own, log_prior):
        log_q = _log_normal(jnp.broadcast_to(z, (num, dims)), every)
        log_joint = jax.nn.logsumexp(log_q.sum(axis=1)) - jnp.log(num)
        log_each = (jax.nn.logsumexp(log_q, axis=0) - jnp.log(num)).sum()
        return Decomposition(
            _log_normal(z, own).sum() - log_joint,
            log_joint - log_each,
            log_each - log_prior,
        )

    return jax.vmap(of_draw)(*drawn)


def _log_normal(z: Float[Array, "*B Z"], of: Normal) -> Float[Array, "*B Z"]:
    """Of each dimension alone."""
    flat = (values.reshape(-1, 1) for values in (z, *of))
    return losses.log_normal(*flat).reshape(z.shape)
