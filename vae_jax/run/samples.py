"""How near samples and reconstructions are to test images."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from vae_jax import (
    data,
    evaluate,
    experiment,
    extractors,
    mixture,
    pixels,
    progress,
    quality,
    report,
)
from vae_jax.contracts import Extractor, Trained
from vae_jax.run.session import Refused, Session, foreseen
from vae_jax.run.subsets import over_images, some_of

LOGGER = experiment.LOGGER
BLOCK = 500  # stored images whose features are taken at a time
SEED = 0  # of samples and of what is fitted to latents: the same for every run


def extractor_for(session: Session, of: Trained) -> Extractor | None:
    """The one that is wanted, if any; what the samples need is checked with it."""
    config, dataset = session.config, session.job.dataset
    options = config.eval
    name = extractors.named(options.extractor, config.data.name, of.model.image_shape)
    if not report.sees_whole_images(of.model):
        return None
    if name == "none":
        if options.extractor == "auto":
            LOGGER.info(
                "No distances of samples: images of %d values are more than the %d "
                "that eval.extractor=auto compares by their pixels; to have them: "
                "--config.eval.extractor=inception",
                math.prod(of.model.image_shape),
                extractors.MOST_PIXELS,
            )
        return None
    most = min(options.mixture_images, len(dataset.train.images))
    if "mixture" in options.samplers and options.mixture_components > most:
        raise Refused(
            "eval.mixture_components: must be at most the number of training images it "
            f"is fitted to, {most}, got {options.mixture_components}"
        )
    with foreseen():
        extractor = extractors.build(
            name, of.model.image_shape, options.inception_weights
        )
        extractor.features(pixels.to_bytes(dataset.test.images[:1], config.data.scale))
    fewest = quality.fewest_for_infinity(extractor)
    if options.fd_infinity and options.num_samples < fewest:
        LOGGER.warning(
            "No extrapolation to infinitely many samples: it needs eval.num_samples of "
            "%d, four for each feature",
            fewest,
        )
    return extractor


def compare(session: Session, of: Trained, extractor: Extractor) -> dict[str, Any]:
    """How near samples, reconstructions and training images are to test images.

    Raises:
        ValueError: if reconstructions are not finite, or there is one image alone.
    """
    options, dataset = session.config.eval, session.job.dataset
    images = some_of(dataset.test.images, options.num_samples)
    training = some_of(training_images(session), options.num_samples)
    num, recons = len(images), recons_of(session, of, images)
    real = features(session, extractor, in_blocks(images), num)
    floor = features(session, extractor, in_blocks(training), len(training))
    rendered = features(session, extractor, recons, num)
    found: dict[str, Any] = {
        "protocol": {
            "extractor": extractor.name,
            "sha256": extractor.sha256,
            "real": f"{num} of {len(dataset.test.images)} test images",
            "n_real": num,
            "n_fake": options.num_samples,
            "image_shape": list(of.model.image_shape),
            "pixels": f"{options.pixels} of p(x|z), rounded to 0 ... 255",
        },
        "floor": quality.distance(extractor, real, floor, "random training images"),
        "reconstruction": quality.distance(
            extractor, real, rendered, "reconstructions of the test images"
        ),
    }
    for sampler in options.samplers:
        try:
            drawn = decoded(session, of, latents(session, of, sampler))
            fake = features(session, extractor, drawn, options.num_samples)
            name = described(session, of, sampler)
            found[sampler] = quality.comparison(
                extractor, real, fake, name, options.fd_infinity
            )
        except (ValueError, ModuleNotFoundError) as error:
            LOGGER.warning("No samples from the %s: %s", sampler, error)
    cautions = list(filter(None, [quality.too_few(extractor, real, floor)]))
    if report.is_binary(images) and options.pixels == "mean":
        cautions.append(
            "images are black and white, and means of p(x|z) are grey: "
            "--config.eval.pixels=draw compares like with like"
        )
    for caution in cautions:
        LOGGER.warning("%s", caution)
    if cautions:
        found["protocol"]["warning"] = "; ".join(cautions)
    return found


def features(
    session: Session, extractor: Extractor, blocks: Iterable[np.ndarray], num: int
) -> quality.Features:
    """Of ``num`` images, no more of which are held than one block; told if it is slow.

    Raises:
        ValueError: if an image is not finite, or there is one alone.
    """
    rows, done = [], 0
    with progress.shown(num, 0) as show:
        for images in blocks:
            images = pixels.to_bytes(images, session.config.data.scale)
            rows.append(extractor.features(images))
            done += len(images)
            show(done, f"features of {extractor.name}", {})
    return quality.of_rows(np.concatenate(rows))


def in_blocks(images: data.Images) -> Iterator[np.ndarray]:
    return (images[start : start + BLOCK] for start in range(0, len(images), BLOCK))


def training_images(session: Session) -> data.Images:
    """As test images are: black and white where those are."""
    dataset, binarize = session.job.dataset, session.config.data.binarize
    return data.binarized_once(dataset.train, binarize).images


def described(session: Session, of: Trained, sampler: str) -> str:
    """Where samples come from, with all that their distances depend on."""
    if sampler == "prior":
        return "samples from the prior"
    options = session.config.eval
    # The same of one level and of two, or they could not be compared; see ``latents``.
    return (
        f"samples from a mixture of {options.mixture_components} Gaussians fitted to "
        f"latents of training images, at most {options.mixture_images}"
    )


def latents(session: Session, of: Trained, sampler: str):
    """``eval.num_samples`` of every group, on the host.

    The mixture is one of all groups where their priors are independent. Else it is one
    of the coarsest, and the others are drawn from their priors given that.

    Raises:
        ModuleNotFoundError: if a mixture is wanted and cannot be fitted.
        ValueError: if latents are not finite.
    """
    num, key = session.config.eval.num_samples, jax.random.key(SEED)
    if sampler == "prior":
        return evaluate.from_prior(of, key, num)
    images = some_of(training_images(session), session.config.eval.mixture_images)
    drawn = evaluate.draw_latents(of, images, **over_images(session))
    if of.model.complete:
        drawn = drawn[:1]
    together = np.concatenate([latent.z for latent in drawn], axis=1)
    fitted = mixture.fit(together, session.config.eval.mixture_components, SEED)
    if not fitted.converged:
        LOGGER.warning("the mixture fitted to the latents had not converged")
    z = mixture.sample(fitted, num, SEED)
    if of.model.complete:
        return evaluate.completed(of, key, z)
    ends = np.cumsum([latent.z.shape[1] for latent in drawn])[:-1]
    return tuple(np.split(z, ends, axis=1))


def decoded(session: Session, of: Trained, zs) -> Iterator[np.ndarray]:
    """Images of latents, as ``eval.pixels`` says, batch by batch."""
    options = session.config.eval
    return evaluate.batches_of_images(
        of, zs, batch_size=options.batch_size, draw=options.pixels == "draw"
    )


def recons_of(
    session: Session, of: Trained, images: np.ndarray
) -> Iterator[np.ndarray]:
    """Reconstructions of images, from one draw of their latents, batch by batch."""
    drawn = evaluate.draw_latents(of, images, **over_images(session))
    return decoded(session, of, tuple(latent.z for latent in drawn))
