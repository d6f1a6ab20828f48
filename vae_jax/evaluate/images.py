"""What a model makes of images and latents: means of pixels, never logits."""

import functools
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from vae_jax import mesh
from vae_jax.contracts import Hparams, Model, Params, Trained
from vae_jax.evaluate.batches import SEED, each_batch


@functools.partial(jax.jit, static_argnums=0)
def reconstruct(
    model: Model, params: Params, x: Float[Array, "B H W C"], hparams: Hparams
) -> Float[Array, "B h w C"]:
    """E[x|z] at the posterior's mean, at the resolution of the model's stage."""
    out = model.apply(params, x, None, hparams.alpha)
    return model.likelihood.mean(out.pixels)


@functools.partial(jax.jit, static_argnums=0)
def decode_means(
    model: Model, params: Params, zs: tuple[Float[Array, "B _"], ...], hparams: Hparams
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


def batches_of_images(
    of: Trained,
    zs: tuple[Float[np.ndarray, "N _"], ...],
    *,
    batch_size: int,
    draw: bool,
) -> Iterator[Float[np.ndarray, "B H W C"]]:
    """Images of any number of latents on the host: E[x|z], or draws from p(x|z)."""
    ends = list(itertools.accumulate(z.shape[1] for z in zs))

    def images(batch, rows):
        parts = tuple(jnp.split(batch, ends[:-1], axis=1))
        return _images_of(of.model, draw, of.params, parts, rows, of.hparams)

    together, over = np.concatenate(zs, axis=1), mesh.under(of.params)
    return each_batch(images, together, batch_size, over)


def images_of(
    of: Trained, zs: tuple[Float[np.ndarray, "N _"], ...], **options: int | bool
) -> Float[np.ndarray, "N H W C"]:
    """All of them at once; takes what ``batches_of_images`` takes."""
    return np.concatenate([*batches_of_images(of, zs, **options)])


@functools.partial(jax.jit, static_argnums=(0, 1))
def _images_of(model, draw, params, zs, rows, hparams):
    pixels = model.decode(params, zs, hparams.alpha)
    if not draw:
        return model.likelihood.mean(pixels)

    def of_one(pixels, row):
        # No key of the image's latents, whose noise would be that of its pixels.
        key = jax.random.fold_in(jax.random.key(SEED + 1), row)
        own = model.likelihood_params(params)
        return model.likelihood.sample(key, own, hparams, pixels)

    return jax.vmap(of_one)(pixels, rows)
