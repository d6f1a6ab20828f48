"""Pictures of models that grow: the same latents over time, and each stage's part."""

import logging
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageOps

from vae_jax import files
from vae_jax.plots import drawing

LOGGER = logging.getLogger("vae_jax")
FRAMES = "growth"  # the folder of the animation's frames
NUM_SHOWN = 8
FRAME_MS, LAST_FRAME_MS = 400, 2500


def frame(folder: pathlib.Path, subject, samples: jax.Array, epoch: int) -> None:
    """Draws samples of latents that are always the same, in the full image's size."""
    images = subject.of.model.enlarge(samples)
    height, width = subject.of.model.resolution
    files.make_folder(folder / FRAMES)
    path = folder / FRAMES / f"{epoch:04d}.png"
    drawing.samples(path, np.asarray(images), f"Epoch {epoch}, {height}x{width}")


def animation(folder: pathlib.Path) -> None:
    """Joins the frames that there are, in their order, into ``growth.gif``."""
    frames = []
    for path in sorted((folder / FRAMES).glob("*.png")):
        try:
            with Image.open(path) as image:
                frames.append(image.convert("RGB"))
        except (OSError, SyntaxError) as error:  # Pillow's own for some broken PNG
            LOGGER.warning("%s: left out of growth.gif: %s", path, error)
    if not frames:
        return
    # Some are wider than others by their titles.
    size = tuple(np.max([frame.size for frame in frames], axis=0).tolist())
    frames = [ImageOps.pad(frame, size, color="white") for frame in frames]
    frames = [f.convert("P", palette=Image.Palette.ADAPTIVE) for f in frames]
    path = folder / "growth.gif"
    times = [*[FRAME_MS] * (len(frames) - 1), LAST_FRAME_MS]
    first, *others = frames
    options = {"duration": times, "loop": 0, "format": "GIF", "save_all": True}
    with files.replacing(path) as partial:
        first.save(partial, append_images=others, **options)


def residuals(folder: pathlib.Path, subject, groups, key: jax.Array) -> None:
    """What each stage adds to reconstructions and to samples.

    ``residuals.png``: of test images, what each stage adds, grey where that is nothing,
    and the image up to it. ``samples_coarse.png``: samples whose finer latents are
    zero. ``samples_finest.png``: rows of samples that differ in the finest latents.
    """
    model, params, hparams = subject.of
    zs = tuple(jnp.asarray(means[:NUM_SHOWN]) for means in groups)
    added, sums = model.residuals(params, zs, hparams.alpha)
    seen, _ = model.observe(subject.x[:NUM_SHOWN])
    rows, names = [np.asarray(seen)], ["original"]
    for stage, (new, whole) in enumerate(zip(added, sums, strict=True)):
        new = new[..., : model.image_shape[-1]]  # locations, where there are scales too
        largest = max(float(abs(new).max()), 1e-6)
        rows += [np.asarray(0.5 + 0.5 * new / largest), _mean(model, whole)]
        names += [f"stage {stage} adds", f"up to stage {stage}"]
    drawing.table(folder / "residuals.png", np.stack(rows), names, "Residuals")

    zs = model.sample_prior(params, key, NUM_SHOWN)
    rows = []
    for known in range(1, len(zs) + 1):
        kept = (*zs[:known], *(jnp.zeros_like(z) for z in zs[known:]))
        rows.append(_mean(model, model.decode(params, kept, hparams.alpha)))
    names = [
        f"latents 0 to {stage}" if stage else "latents 0" for stage in range(len(zs))
    ]
    path = folder / "samples_coarse.png"
    drawing.table(path, np.stack(rows), names, "Samples, finer latents at zero")

    fresh = model.sample_prior(params, jax.random.fold_in(key, 1), NUM_SHOWN**2)[-1]
    kept = tuple(jnp.repeat(z, NUM_SHOWN, axis=0) for z in zs[:-1])
    images = _mean(model, model.decode(params, (*kept, fresh), hparams.alpha))
    images = images.reshape(NUM_SHOWN, NUM_SHOWN, *images.shape[1:])
    path = folder / "samples_finest.png"
    drawing.table(path, images, [], "Samples, rows of one coarse draw")


def _mean(model, pixels) -> np.ndarray:
    return np.asarray(model.likelihood.mean(pixels))
