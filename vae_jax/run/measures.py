"""What is measured of a trained model: a part after training, all by ``eval``."""

from typing import Any

from vae_jax import evaluate, experiment, per_image, progress, report
from vae_jax.assembly import Phase
from vae_jax.contracts import Trained
from vae_jax.run import samples
from vae_jax.run.session import Session
from vae_jax.run.subsets import over_images, some_of, some_rows

LOGGER = experiment.LOGGER
# Test images, at most, where posteriors are means over draws and so as much more work.
DRAWN = 2_000


def of_the_bound(
    session: Session, phase: Phase, of: Trained, on: report.Bound
) -> dict[str, Any]:
    """The bound with its terms, and what each latent has of the KL."""
    images = session.job.dataset.test.images
    seen = images if len(of.model.z_dims) == 1 else some_of(images, DRAWN)
    groups = evaluate.posteriors(of, seen, **over_images(session))
    terms = phase.terms(of.params, images, of.hparams)
    if "iw_bound" in terms:  # of the objective
        terms["objective_bound"] = terms.pop("iw_bound")
    loss = session.config.loss
    numbers = report.evaluation(terms, on, loss.kl, loss.iw_samples)
    return {
        "bound_kind": on.kind,
        "per_image": {name: terms[name] for name in numbers if name in terms},
        "numbers": {
            **numbers,
            **report.sigma(of.model, of.params, of.hparams),
            **report.latents(groups),
        },
        "kl_per_dimension": report.kl_per_dimension(groups, evaluate.has_mixture(of)),
    }


def beyond_the_bound(session: Session, of: Trained, on: report.Bound) -> dict[str, Any]:
    """The importance-weighted bound, the parts of the KL, the quality of samples.

    Returns:
        ``numbers``, ``per_image``, and ``samples`` if whole images can be had and are
        wanted.
    """
    extractor = samples.extractor_for(session, of)  # before anything that takes long
    found = importance(session, of, on)
    found["numbers"] |= parts_of_kl(session, of)
    if extractor:
        try:
            found["samples"] = samples.compare(session, of, extractor)
        except ValueError as error:
            LOGGER.warning("No distances of samples: %s", error)
    return found


def importance(session: Session, of: Trained, on: report.Bound) -> dict[str, Any]:
    """IW-K where the bound is one on a likelihood: ``numbers`` and ``per_image``."""
    config, images = session.config, session.job.dataset.test.images
    if on.kind == "cross_entropy":
        what, way_out = "averages over pixels", ""
        if report.sees_whole_images(of.model):
            what = "grey pixels"
            way_out = "; to have one: --config.data.binarize or --config.loss.recon"
        LOGGER.info(
            "No importance-weighted bound: of %s, loss.recon=%s is no likelihood%s",
            what,
            config.loss.recon,
            way_out,
        )
        return {"numbers": {}, "per_image": {}}
    num = config.eval.iw_images or len(images)
    some, rows = some_of(images, num), some_rows(len(images), num)
    draws = config.eval.iw_samples
    bound = evaluate.make_bound(of.model, **over_images(session))
    with progress.shown(len(some), 0) as show:
        found = bound(
            *(of.params, some, of.hparams, draws),
            tell=lambda done: show(done, f"IW-{draws}", {}),
        )
    numbers = report.importance(found, on, draws)
    LOGGER.info("IW-%d: %.3f nats", draws, numbers["iw_bound"]["value"])
    columns = {"iw_bound": found.bound, "iw_ess": found.ess}
    per = {k: per_image.of_some(v, rows, len(images)) for k, v in columns.items()}
    return {"numbers": numbers, "per_image": per}


def parts_of_kl(session: Session, of: Trained) -> dict[str, Any]:
    """Numbers of the KL's decomposition for the first group of latents."""
    images = session.job.dataset.test.images
    first, *others = evaluate.draw_latents(of, images, **over_images(session))
    with progress.shown(len(images), 0) as show:
        found = evaluate.decompose_kl(first, lambda done: show(done, "KL", {}))
    return report.parts_of_kl(found, bool(others), evaluate.has_mixture(of))
