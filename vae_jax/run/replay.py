"""One step of a run, computed again and looked into."""

import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from vae_jax import experiment, files, inspection, report, train
from vae_jax.assembly import Phase
from vae_jax.run.session import Refused, Session, go_on
from vae_jax.run.stepping import Feed, endless, feed_of
from vae_jax.train import TrainState

LOGGER = experiment.LOGGER
SCALES = ("sigma", "scale")  # of a likelihood that has one for all pixels
NAMED = 8  # images in a message; all are in the file


def replay(session: Session, step: int) -> None:
    """Computes step ``step`` again, bit for bit: a table, and ``step_<step>.json``.

    Begins at the nearest checkpoint before it that is whole or, without one, at the
    initial state, which the seed gives.

    Raises:
        Refused: if the run has no such step.
    """
    total = session.job.plan[-1].end_step
    if not 1 <= step <= total:
        raise Refused(f"--step: must be from 1 to {total}, got {step}")
    state = nearest(session, step - 1)
    LOGGER.info("from the state after step %d", state.step)
    feed = feed_of(session.job, session.config)
    found = look_into(session, feed, feed.advance(state, step - 1))
    LOGGER.info("%s", table(found))
    write(session.folder, found)  # where that fails, it has been shown


def nearest(session: Session, step: int) -> TrainState:
    """The newest state that is kept and of no step later than this one."""
    saved, job = session.saved, session.job
    for kept in reversed([s for s in saved.steps() if s <= step]):
        try:
            return saved.restore(kept, job.shapes)
        except ValueError as error:
            LOGGER.warning("%s; an earlier state is used", error)
    return job.initial_state()


def look_into(session: Session, feed: Feed, state: TrainState) -> dict[str, Any]:
    """What the step after this state computes, for the record. Eats the state."""
    done = int(state.step)
    phase = session.job.phase_at(done)
    rows, images = feed.batch(phase, done)
    tried = phase.attempt(state, images, phase.hparams)
    posterior = inspection.posterior(phase.model, state.params, tried)
    first = inspection.first_not_finite(state.params, posterior, tried)
    scale = report.sigma(phase.model, state.params, tried.hparams)
    # The very numbers of training, if they counted: of its own compiled loop.
    after = feed.take(endless(phase), train.start_epoch(state), 1)
    means = train.epoch_means(after) if int(after.good_steps) else {}
    terms = {n: inspection.of_values(tried.terms[n]) for n in sorted(tried.terms)}
    for name in terms.keys() & means.keys():
        terms[name]["mean"] = means[name]
    return {
        "step": done + 1,
        **place(phase, tried, done),
        **{name: number["value"] for name, number in scale.items()},
        "skipped": not int(after.good_steps),
        "first_not_finite": first and first.name,
        "images_not_finite": rows[first.images].tolist() if first else [],
        "loss": means.get("loss", float(tried.loss)),
        "terms": terms,
        "posterior": {
            n: inspection.of_values(v) for n, v in inspection.leaves(posterior)
        },
        "gradient_norm": means.get("grad_norm", float(tried.grad_norm)),
        "gradient_norms": inspection.norms(tried.grads),
        "rows": rows.tolist(),
    }


def place(phase: Phase, tried: train.Attempt, done: int) -> dict[str, Any]:
    """Where a step stands (all but its stage count from 1), and its numbers."""
    epoch, batch = phase.stage.epoch_at(done)
    return {
        "epoch": epoch + 1,
        "batch": batch + 1,
        "stage": phase.stage.index,
        "num_stages": phase.model.num_stages,
        "alpha": float(tried.hparams.alpha),
        "lr": float(tried.hparams.lr),
        "beta": float(tried.hparams.beta),
    }


def blown_up(session: Session, feed: Feed, state: TrainState) -> str:
    """What happened in the step that has just been skipped, in a few lines.

    Leaves ``step_<step>.json``. Eats the state.
    """
    # Skipped, it has changed nothing but the counters.
    found = look_into(session, feed, state._replace(step=state.step - jnp.int32(1)))
    return f"{headline(found)}\n{write(session.folder, found)}"


def write(folder: pathlib.Path, found: dict[str, Any]) -> str:
    """Writes the record of a step, and says where and how to make it again."""
    path = folder / f"step_{found['step']}.json"
    files.write_json(path, found)
    again = f"{go_on(folder)} --mode=replay --step={found['step']}"
    return f"All of it: {path}. Once more: {again}"


def headline(found: dict[str, Any]) -> str:
    """Where a step was, at which numbers, and what of it was not finite."""
    scale = "".join(f", {of} {found[of]:g}" for of in SCALES if of in found)
    stage = ""
    if found["num_stages"] > 1:
        stage = f", stage {found['stage']}/{found['num_stages'] - 1}"
        stage += f", alpha {found['alpha']:.2f}"
    where = (
        f"Step {found['step']} (epoch {found['epoch']}, batch {found['batch']}{stage}, "
        f"learning rate {found['lr']:g}, beta {found['beta']:g}{scale})"
    )
    if not found["first_not_finite"]:
        # Compiled apart from training, a step may differ from it in its last bits.
        edge = " here, but was not in training: it is at the edge of overflow"
        return f"{where}: all is finite{edge if found['skipped'] else ''}."
    terms = [name for name, term in found["terms"].items() if term["not_finite"]]
    sums = [s for s in ("loss", "gradient_norm") if not np.isfinite(found[s])]
    bad, whose = found["images_not_finite"], ""
    if bad:
        named = ", ".join(map(str, bad[:NAMED]))
        named += f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        size = len(found["rows"])
        whose = f", for {len(bad)} of {size} images: training images {named}"
    return (
        f"{where}: not finite are {', '.join(terms + sums)}.\n"
        f"The first that was not: {found['first_not_finite']}{whose}."
    )


def table(found: dict[str, Any]) -> str:
    """The record of a step, for the console."""
    columns = ("mean", "lowest", "highest")
    heads = "".join(f"{name:>14}" for name in columns)
    lines = [headline(found), f"{'nats per image':<20}{heads}  not finite"]
    of_posterior = {f"posterior/{n}": v for n, v in found["posterior"].items()}
    for name, term in (found["terms"] | of_posterior).items():
        values = "".join(f"{term[column]:>14.6g}" for column in columns)
        lines.append(f"{name:<20}{values}{term['not_finite']:>12}")
    norms = found["gradient_norms"]
    largest = max(norms, key=lambda name: _size(norms[name]))
    return "\n".join(
        [
            *lines,
            f"Loss {found['loss']:.6g}, norm of the gradient "
            f"{found['gradient_norm']:.6g}, its largest part {largest} with "
            f"{norms[largest]:.6g}. The update was "
            + ("skipped." if found["skipped"] else "made."),
        ]
    )


def _size(norm: float) -> float:
    """NaN is larger than any number."""
    return np.inf if np.isnan(norm) else norm
