"""Pictures of a model, each of the same images and latents whenever it is made."""

import pathlib
import statistics
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from vae_jax import evaluate
from vae_jax.contracts import Trained
from vae_jax.plots import drawing, growing
from vae_jax.plots.drawing import samples

__all__ = ["NUM_RECONSTRUCTIONS", "Subject", "of_moment", "of_run", "samples"]

NUM_RECONSTRUCTIONS = 30
NUM_SAMPLES = 64
NUM_PATHS, PATH_LENGTH = 8, 12
MANIFOLD_SIDE = 20
SEED = evaluate.SEED


class Subject(NamedTuple):
    """Of what pictures are made."""

    of: Trained
    x: Float[Array, "N H W C"]  # the first test images, which are reconstructed
    labels: Int[np.ndarray, " M"] | None  # classes of test images, if they have any
    labelled: str = "class"  # what a label is


def of_moment(
    folder: pathlib.Path, name: str, subject: Subject, rows: list[dict], epoch: int
) -> None:
    """Reconstructions and samples under a name, and the curves so far.

    Of a model that grows, also the frame of this epoch for the animation.
    """
    drawing.curves(folder / "curves.png", rows)
    _reconstructions(folder / f"reconstructions_{name}.png", subject)
    images = _samples(folder / f"samples_{name}.png", subject)
    if subject.of.model.num_stages > 1:
        growing.frame(folder, subject, images, epoch)


def of_run(
    folder: pathlib.Path,
    subject: Subject,
    groups: tuple[Float[np.ndarray, "M _"], ...],
    kls: list[list[float]],
    rows: list[dict],
) -> None:
    """All pictures of a trained model.

    Args:
        folder: where they go.
        subject: what they are of.
        groups: means of posteriors, one array for each group, of the images that the
            labels are of, of which ``subject.x`` are the first.
        kls: nats of every latent, one list for each group.
        rows: of ``metrics.jsonl``.
    """
    _reconstructions(folder / "reconstructions.png", subject)
    _samples(folder / "samples.png", subject)
    drawing.curves(folder / "curves.png", rows)
    if subject.of.model.num_stages > 1:
        growing.animation(folder)
    if subject.of.model.residuals and len(groups) > 1:
        growing.residuals(folder, subject, groups, jax.random.key(SEED))

    drawing.kl_per_dimension(folder / "kl_per_dimension.png", kls)
    labels = subject.labels, subject.labelled
    drawing.latent_space(folder / "latent_space.png", groups[0], *labels)
    if len(subject.x) > 1:
        between = _interpolations(subject, groups)
        drawing.interpolations(folder / "interpolations.png", between)
    is_plane = len(groups) == 1 and groups[0].shape[1] == 2
    # Of a mixture, equal steps of probability are not known in each dimension alone.
    if is_plane and not evaluate.has_mixture(subject.of):
        drawing.manifold(folder / "manifold.png", *_manifold(subject))


def _reconstructions(path, subject):
    model, params, hparams = subject.of
    x = subject.x[:NUM_RECONSTRUCTIONS]
    seen, _ = model.observe(x)  # what a model that grows sees of it so far
    recons = evaluate.reconstruct(model, params, x, hparams)
    drawing.reconstructions(path, np.asarray(seen), np.asarray(recons))


def _samples(path, subject):
    model, params, hparams = subject.of
    key = jax.random.key(SEED)
    images = evaluate.sample_means(model, params, key, NUM_SAMPLES, hparams)
    drawing.samples(path, np.asarray(images))
    return images


def _interpolations(subject, groups) -> Float[np.ndarray, "R T H W C"]:
    """Straight lines in latent space from image 2r to image 2r + 1."""
    model, params, hparams = subject.of
    num = min(NUM_PATHS, len(groups[0]) // 2)
    t = np.linspace(0.0, 1.0, PATH_LENGTH, dtype=np.float32)[None, :, None]
    with np.errstate(invalid="ignore"):  # latents of a run that blew up
        zs = tuple(
            ((1 - t) * z[: 2 * num : 2, None] + t * z[1 : 2 * num : 2, None]).reshape(
                -1, z.shape[-1]
            )
            for z in groups
        )
    images = evaluate.decode_means(model, params, zs, hparams)
    return np.asarray(images).reshape(num, PATH_LENGTH, *images.shape[1:])


def _manifold(subject):
    """Images at equal steps of the prior's probability, as Kingma & Welling 2014."""
    model, params, hparams = subject.of
    quantiles = (np.arange(MANIFOLD_SIDE) + 0.5) / MANIFOLD_SIDE
    axis = np.array([statistics.NormalDist().inv_cdf(q) for q in quantiles], np.float32)
    z1, z2 = np.meshgrid(axis, axis)
    zs = (np.stack([z1.ravel(), z2.ravel()], axis=-1),)
    images = np.asarray(evaluate.decode_means(model, params, zs, hparams))
    return images.reshape(MANIFOLD_SIDE, MANIFOLD_SIDE, *images.shape[1:]), axis
