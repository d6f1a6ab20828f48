"""Pictures of a model, each of the same images and latents whenever it is made."""

import pathlib
import statistics

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from vae_jax import evaluate
from vae_jax.contracts import Hparams, Model, Params
from vae_jax.plots import drawing
from vae_jax.plots.drawing import samples

__all__ = ["of_epoch", "of_run", "samples"]

NUM_RECONSTRUCTIONS = 30
NUM_SAMPLES = 64
NUM_PATHS, PATH_LENGTH = 8, 12
MANIFOLD_SIDE = 20
KEY = evaluate.KEY


def of_epoch(
    folder: pathlib.Path,
    model: Model,
    params: Params,
    hparams: Hparams,
    x: Float[Array, "N H W C"],
    labels: Int[np.ndarray, " N"] | None,
    rows: list[dict],
    epoch: int,
) -> None:
    """Reconstructions and samples, named after the epoch, and the curves so far."""
    del labels
    drawing.curves(folder / "curves.png", rows)
    _reconstructions(
        folder / f"reconstructions_{epoch:04d}.png", model, params, hparams, x
    )
    _samples(folder / f"samples_{epoch:04d}.png", model, params, hparams)


def of_run(
    folder: pathlib.Path,
    model: Model,
    params: Params,
    hparams: Hparams,
    x: Float[Array, "N H W C"],
    labels: Int[np.ndarray, " N"] | None,
    groups: tuple[Float[np.ndarray, "N Z"], ...],
    rows: list[dict],
) -> None:
    """All pictures of a trained model.

    Args:
        folder: where they go.
        model: the model.
        params: what to show.
        hparams: of the run.
        x: test images, of which the first are reconstructed.
        labels: their classes, if they have any.
        groups: the means of their posteriors, one array for each group of latents.
        rows: of ``metrics.jsonl``.
    """
    _reconstructions(folder / "reconstructions.png", model, params, hparams, x)
    _samples(folder / "samples.png", model, params, hparams)
    drawing.curves(folder / "curves.png", rows)

    drawing.latent_space(folder / "latent_space.png", groups[0], labels)
    if len(x) > 1:
        between = _interpolations(model, params, hparams, groups)
        drawing.interpolations(folder / "interpolations.png", between)
    if len(groups) == 1 and groups[0].shape[1] == 2:
        grid = _manifold(model, params, hparams)
        drawing.manifold(folder / "manifold.png", *grid)


def _reconstructions(path, model, params, hparams, x):
    x = x[:NUM_RECONSTRUCTIONS]
    recons = evaluate.reconstruct(model, params, x, hparams)
    drawing.reconstructions(path, np.asarray(x), np.asarray(recons))


def _samples(path, model, params, hparams):
    key = jax.random.key(KEY)
    images = evaluate.sample_means(model, params, key, NUM_SAMPLES, hparams)
    drawing.samples(path, np.asarray(images))


def _interpolations(model, params, hparams, groups) -> Float[np.ndarray, "R T H W C"]:
    """Straight lines in latent space from image 2r to image 2r + 1."""
    num = min(NUM_PATHS, len(groups[0]) // 2)
    t = np.linspace(0.0, 1.0, PATH_LENGTH, dtype=np.float32)[None, :, None]
    zs = tuple(
        ((1 - t) * z[: 2 * num : 2, None] + t * z[1 : 2 * num : 2, None]).reshape(
            -1, z.shape[-1]
        )
        for z in groups
    )
    images = evaluate.decode_means(model, params, zs, hparams)
    return np.asarray(images).reshape(num, PATH_LENGTH, *images.shape[1:])


def _manifold(model, params, hparams):
    """Images at equal steps of the prior's probability, as Kingma & Welling 2014."""
    quantiles = (np.arange(MANIFOLD_SIDE) + 0.5) / MANIFOLD_SIDE
    axis = np.array([statistics.NormalDist().inv_cdf(q) for q in quantiles], np.float32)
    z1, z2 = np.meshgrid(axis, axis)
    zs = (np.stack([z1.ravel(), z2.ravel()], axis=-1),)
    images = np.asarray(evaluate.decode_means(model, params, zs, hparams))
    return images.reshape(MANIFOLD_SIDE, MANIFOLD_SIDE, *images.shape[1:]), axis
