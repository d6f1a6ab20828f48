"""What is measured of a trained model: a part after training, all by ``eval``."""

from typing import Any

import jax
import numpy as np

from vae_jax import (
    evaluate,
    experiment,
    extractors,
    mixture,
    pixels,
    progress,
    quality,
    report,
)
from vae_jax.assembly import Phase
from vae_jax.contracts import Extractor, Trained
from vae_jax.run.session import Session, foreseen

LOGGER = experiment.LOGGER
# Test images, at most, where posteriors are means over draws and so as much more work.
DRAWN = 2_000
SEED = 0  # of samples and of what is fitted to latents: the same for every run


def of_the_bound(session: Session, phase: Phase, of: Trained) -> dict[str, Any]:
    """The bound with its terms, and what each latent has of the KL."""
    config, images = session.config, session.job.dataset.test.images
    seen = images if evaluate.num_groups(of) == 1 else images[:DRAWN]
    groups = evaluate.posteriors(of, seen, **over_images(session))
    terms = phase.terms(of.params, images, of.hparams)
    return {
        "bound_kind": report.bound_kind(of.model, images),
        "numbers": {
            **report.evaluation(
                terms, of.model, images, config.data.scale, config.loss.kl
            ),
            **report.sigma(of.model, of.params, of.hparams),
            **report.latents(groups),
        },
        "kl_per_dimension": report.kl_per_dimension(groups),
    }


def beyond_the_bound(session: Session, of: Trained) -> dict[str, Any]:
    """The importance-weighted bound, the parts of the KL, the quality of samples.

    Returns:
        ``numbers``, and ``samples`` if whole images can be had and are wanted.
    """
    extractor = extractor_for(session, of)  # before anything that takes long
    found = {"numbers": importance(session, of) | parts_of_kl(session, of)}
    if extractor:
        try:
            found["samples"] = samples(session, of, extractor)
        except ValueError as error:
            LOGGER.warning("No distances of samples: %s", error)
    return found


def extractor_for(session: Session, of: Trained) -> Extractor | None:
    """The one that is wanted, if any; it takes the images of the data set."""
    options, images = session.config.eval, session.job.dataset.test.images
    if options.extractor == "none" or not report.sees_whole_images(of.model):
        return None
    with foreseen():
        extractor = extractors.build(
            extractors.named(options.extractor, session.config.data.name),
            of.model.image_shape,
            options.inception_weights,
        )
        extractor.features(pixels.to_bytes(images[:1], session.config.data.scale))
    return extractor


def importance(session: Session, of: Trained) -> dict[str, Any]:
    """Numbers of IW-K, where the bound is one on a likelihood."""
    config, images = session.config, session.job.dataset.test.images
    images = images[: config.eval.iw_images or len(images)]
    kind, samples = report.bound_kind(of.model, images), config.eval.iw_samples
    if kind == "cross_entropy":
        LOGGER.info(
            "No importance-weighted bound: with grey pixels, loss.recon=bce is no "
            "likelihood. To have one: --config.data.binarize or --config.loss.recon"
        )
        return {}
    bound = evaluate.make_bound(of.model, **over_images(session))
    with progress.shown(len(images), 0) as show:
        found = bound(
            *(of.params, images, of.hparams, samples),
            tell=lambda done: show(done, f"IW-{samples}", {}),
        )
    return report.importance(found, of.model, images, config.data.scale, samples)


def parts_of_kl(session: Session, of: Trained) -> dict[str, Any]:
    """Numbers of the KL's decomposition for the first group of latents."""
    images = session.job.dataset.test.images
    first, *others = evaluate.draw_latents(of, images, **over_images(session))
    return report.parts_of_kl(evaluate.decompose_kl(first), bool(others))


def samples(session: Session, of: Trained, extractor: Extractor) -> dict[str, Any]:
    """How near samples, reconstructions and training images are to test images.

    Raises:
        ValueError: if images or latents are not finite, or too few.
    """
    config, dataset = session.config, session.job.dataset

    def features(images):
        return quality.features(extractor, pixels.to_bytes(images, config.data.scale))

    num = config.eval.num_samples
    images = some_of(dataset.test.images, num)
    real = features(images)
    floor = features(some_of(dataset.train.images, real.moments.n))
    recons = features(recons_of(session, of, images))
    found: dict[str, Any] = {
        "protocol": {
            "extractor": extractor.name,
            "sha256": extractor.sha256,
            "real": f"{real.moments.n} of {len(dataset.test.images)} test images",
            "n_real": real.moments.n,
            "n_fake": num,
            "image_shape": list(of.model.image_shape),
            "pixels": f"{config.eval.pixels} of p(x|z), rounded to 0 ... 255",
        },
        "floor": quality.distance(
            extractor, real, floor, f"{floor.moments.n} random training images"
        ),
        "reconstruction": quality.distance(
            extractor, real, recons, "reconstructions of the test images"
        ),
    }
    for sampler in config.eval.samplers:
        zs = latents(session, of, sampler)
        if zs is None:
            continue
        fake = features(decoded(session, of, zs))
        found[sampler] = quality.comparison(
            extractor, real, fake, described(session, sampler), config.eval.fd_infinity
        )
    warning = quality.too_few(extractor, real)
    if warning:
        LOGGER.warning("%s", warning)
        found["protocol"]["warning"] = warning
    return found


def described(session: Session, sampler: str) -> str:
    """Where samples come from, with all that their distances depend on."""
    if sampler == "prior":
        return "samples from the prior"
    options = session.config.eval
    num = min(options.mixture_images, len(session.job.dataset.train.images))
    return (
        f"samples from a mixture of {options.mixture_components} Gaussians fitted to "
        f"the latents of {num} training images"
    )


def latents(session: Session, of: Trained, sampler: str):
    """``eval.num_samples`` of every group on the host, or None if they cannot be had.

    The priors of all groups are independent, so the mixture is one of all of them.
    """
    num = session.config.eval.num_samples
    if sampler == "prior":
        key = jax.random.key(SEED)
        return jax.device_get(of.model.sample_prior(of.params, key, num))
    if not mixture.is_installed():
        LOGGER.warning("No samples from a mixture: it needs %s", mixture.INSTALL)
        return None
    images = session.job.dataset.train.images[: session.config.eval.mixture_images]
    drawn = evaluate.draw_latents(of, images, **over_images(session))
    together = np.concatenate([latent.z for latent in drawn], axis=1)
    fitted = mixture.fit(together, session.config.eval.mixture_components, SEED)
    if not fitted.converged:
        LOGGER.warning("the mixture fitted to the latents had not converged")
    ends = np.cumsum([latent.z.shape[1] for latent in drawn])[:-1]
    return tuple(np.split(mixture.sample(fitted, num, SEED), ends, axis=1))


def decoded(session: Session, of: Trained, zs):
    """Images of latents, as ``eval.pixels`` says."""
    options = session.config.eval
    return evaluate.images_of(
        of, zs, batch_size=options.batch_size, draw=options.pixels == "draw"
    )


def recons_of(session: Session, of: Trained, images: np.ndarray):
    """Reconstructions of images, from one draw of their latents."""
    drawn = evaluate.draw_latents(of, images, **over_images(session))
    return decoded(session, of, tuple(latent.z for latent in drawn))


def some_of(images: np.ndarray, num: int) -> np.ndarray:
    """All of them, or as many at random: the first ones may be of another kind."""
    rows = np.random.default_rng(SEED).permutation(len(images))[:num]
    return images[np.sort(rows)]


def over_images(session: Session) -> dict[str, Any]:
    return {
        "scale": session.config.data.scale,
        "batch_size": session.config.eval.batch_size,
    }
