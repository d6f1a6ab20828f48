"""What a run, or a finished stage of it, ends with: evaluation and pictures."""

import json
from typing import TYPE_CHECKING

import jax

from vae_jax import (
    evaluate,
    experiment,
    files,
    html,
    mesh,
    metrics,
    per_image,
    pixels,
    report,
    train,
)
from vae_jax.contracts import Trained
from vae_jax.run import measures, subsets
from vae_jax.run.session import Refused, Session, foreseen
from vae_jax.train import TrainState

if TYPE_CHECKING:
    from vae_jax import plots  # see ``pictured``

LOGGER = experiment.LOGGER
PICTURED = 5_000  # test images, at most


def finish(
    session: Session, state: TrainState, stage: int | None = None, full: bool = False
) -> None:
    """Evaluates on the test images: ``eval.json`` and all that is beside it.

    Args:
        session: on the run.
        state: its newest.
        stage: evaluate this finished one instead, and leave ``eval_stage<s>.json``
            and so on, and pictures in a folder of that name.
        full: measure also what takes longer.
    """
    config, job, folder, _ = session
    since_best = job.epochs_since_best(state)
    trained_epochs = job.phase_of(int(state.step)).stage.epochs_done(int(state.step))
    state, which = chosen(session, state, stage)
    step = int(state.step)
    phase = job.phase_of(step)
    # On the devices of this process, which then share the work.
    devices = jax.local_devices()[: config.train.devices or None]
    params = mesh.copied(train.shown_params(state), mesh.of(devices))
    of = phase.trained(params, step)
    images = job.dataset.test.images
    on = report.bound_on(images, of.model, config.data.scale)
    found = {
        "split": "test",
        "checkpoint": which,
        "step": step,
        "epoch": phase.stage.epochs_done(step),
        "trained_epochs": trained_epochs,
        "epochs_since_best": since_best,
        **phase.place_at(step),
        "parameters": train.count(of.params),
        "data": report.source(job.dataset),
        **measures.of_the_bound(session, phase, of, on),
    }
    per = found.pop("per_image")
    if full:
        LOGGER.info("%s", report.table(found))  # what follows may take long
        more = measures.beyond_the_bound(session, of, on)
        found["numbers"] |= more.pop("numbers")
        per |= more.pop("per_image")
        found |= more | {"settings": config.eval.to_dict()}
    LOGGER.info("%s", report.table(found))
    suffix = "" if stage is None else f"_stage{stage}"
    draw(session, of, suffix, found["kl_per_dimension"]["groups"])
    try:
        html.write(folder, suffix, json.loads(files.as_json(found)))
    except ValueError as error:  # by a damaged file that is not worth the evaluation
        LOGGER.warning("no report%s.html: %s", suffix, error)
    per_image.write(folder / per_image.file_name(suffix), per)
    # Last, as it is what tells that all of this is done.
    files.write_json(folder / f"eval{suffix}.json", found)
    LOGGER.info("run directory: %s", folder)


def draw(session: Session, of: Trained, suffix: str, kls: list[list[float]]) -> None:
    """The final pictures, of a stage in a folder of its own; ``kls`` of each latent."""
    from vae_jax import plots  # see ``pictured``

    folder = session.folder / "plots"
    place = folder / suffix.removeprefix("_")
    files.make_folder(folder)
    files.make_folder(place)
    means = evaluate.posterior_means(
        of,
        session.job.dataset.test.images[:PICTURED],
        **subsets.over_images(session),
    )
    subject = pictured(session, of)
    plots.of_run(place, subject, means, kls, metrics.read_rows(session.folder))


def chosen(
    session: Session, state: TrainState, stage: int | None = None
) -> tuple[TrainState, str]:
    """The state that ``stage`` or ``eval.checkpoint`` names, and what to call it."""
    saved, plan = session.saved, session.job.plan
    if stage is not None:
        done = int(state.step)
        ends = {s.index: s.end_step for s in plan if s.epochs and s.end_step <= done}
        if stage not in ends:
            finished = ", ".join(map(str, ends)) or "of which there is none yet"
            raise Refused(f"--stage: must be a finished one, {finished}, got {stage}")
        with foreseen():
            return saved.restore(ends[stage], state), f"stage {stage}"
    best, wanted = int(state.best_step), session.config.eval.checkpoint
    compared = len(session.job.dataset.valid.images)
    if wanted == "latest" or not best or not compared:
        return state, "latest"
    if best == int(state.step):
        return state, "best"
    try:
        return saved.restore(best, state), "best"
    except ValueError as error:
        LOGGER.warning("%s; the latest is used instead of the best", error)
        return state, "latest"


def pictured(session: Session, of: Trained) -> "plots.Subject":
    """What pictures are made of: the model, and test images with their labels."""
    # Here and elsewhere, not before the first picture: importing matplotlib takes as
    # long as the first steps of a run.
    from vae_jax import plots

    dataset = session.job.dataset
    images, labels = dataset.test
    some = jax.device_put(images[: plots.NUM_RECONSTRUCTIONS])
    x = pixels.to_float(some, session.config.data.scale)
    labels = None if labels is None else labels[:PICTURED]
    subject = plots.Subject(of, x, labels)
    if labels is not None and dataset.factors:  # the first is shown
        subject = subject._replace(labels=labels[:, 0], labelled=dataset.factors[0])
    return subject
