"""What a command does: the one training loop, evaluation, and sampling."""

import contextlib
import functools
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging as absl_logging
from ml_collections import ConfigDict

from vae_jax import (
    assembly,
    checkpoint,
    evaluate,
    experiment,
    pacing,
    pixels,
    plots,
    progress,
    report,
    train,
)
from vae_jax.train import TrainState

LOGGER = experiment.LOGGER
PICTURED = 5_000  # test images, at most


class Refused(Exception):
    """A mistake that its user can mend; the text is all that they need."""


class Stopped(Exception):
    """Training ended early, and is saved."""

    def __init__(self, reason: str, exit_code: int):
        super().__init__(reason)
        self.exit_code = exit_code


class Session(NamedTuple):
    """One process at work on one run directory."""

    config: ConfigDict
    job: assembly.Job
    folder: pathlib.Path
    saved: checkpoint.Checkpoints


def run(mode: str, config: ConfigDict, workdir: str | None, **options: Any) -> int:
    """Carries out one command and returns its exit code.

    Args:
        mode: ``train``, ``eval`` or ``sample``.
        config: complete and checked.
        workdir: the run directory; if None, training makes one.
        **options: ``command``, the command line; ``num`` and ``sample_seed``.
    """
    absl_logging.set_verbosity(absl_logging.WARNING)  # orbax says a lot under INFO
    modes = {"train": run_training, "eval": run_evaluation, "sample": run_sampling}
    with experiment.logs() as log:
        try:
            modes[mode](config, workdir, log, **options)
        except Refused as error:
            print(f"main.py: {error}", file=sys.stderr)
            return 2
        except Stopped as stopped:
            LOGGER.info("%s", stopped)
            return stopped.exit_code
    return 0


def run_training(config, workdir, log, command, **_) -> None:
    """Trains to the end, or on from where an earlier process stopped; evaluates."""
    plain = json.loads(config.to_json())
    with foreseen():
        experiment.check_folder(workdir, plain)
        found = experiment.finished(workdir, config.train.epochs)
    if found:
        LOGGER.info("%s is finished.\n%s", workdir, report.table(found))
        return
    job = assemble(config)
    with foreseen():
        folder = experiment.open_folder(workdir, plain)
        experiment.log_to(log, folder)
        experiment.record_environment(folder, command)
    LOGGER.info("run directory: %s", folder)
    with checkpoint.Checkpoints(folder) as saved:
        session = Session(config, job, folder, saved)
        finish(session, fit(session))


def run_evaluation(config, workdir, log, **_) -> None:
    """Evaluates what a run has saved, and makes its final pictures again."""
    with existing(config, workdir) as (session, state):
        experiment.log_to(log, session.folder)
        finish(session, state)


def run_sampling(config, workdir, log, num, sample_seed, **_) -> None:
    """Writes images drawn from the prior of a run: a picture and an array."""
    del log
    with existing(config, workdir) as (session, state):
        state, job = chosen(session, state), session.job
        params, key = train.shown_params(state), jax.random.key(sample_seed)
        images = evaluate.sample_means(job.model, params, key, num, job.hparams)
        path = session.folder / "samples" / f"samples_{num}_seed{sample_seed}"
        path.parent.mkdir(exist_ok=True)
        plots.samples(path.with_suffix(".png"), np.asarray(images))
        np.save(path.with_suffix(".npy"), np.clip(images, 0, 1))
        LOGGER.info("%d samples of step %d: %s.png and .npy", num, state.step, path)


@contextlib.contextmanager
def foreseen() -> Iterator[None]:
    """Turns the errors that a user's input can cause into ``Refused``."""
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        raise Refused(str(error)) from error


def assemble(config: ConfigDict) -> assembly.Job:
    with foreseen():
        dataset = assembly.load_data(config)
    return assembly.build(config, dataset)


@contextlib.contextmanager
def existing(config, workdir) -> Iterator[tuple[Session, TrainState]]:
    """A session on a run that has been trained before, and its newest state."""
    with foreseen():
        experiment.check_folder(workdir, json.loads(config.to_json()))
    folder, job = pathlib.Path(workdir).absolute(), assemble(config)
    with checkpoint.Checkpoints(folder) as saved:
        with foreseen():
            state = saved.restore_latest(jax.eval_shape(job.initial_state))
        if state is None:
            raise Refused(f"--workdir: {workdir} has no checkpoint yet")
        yield Session(config, job, folder, saved), state


def fit(session: Session) -> TrainState:
    """Trains up to the last epoch. What is done is logged, saved and pictured."""
    config, job, _, saved = session
    state = restore_or_begin(session)
    images = jax.device_put(job.dataset.train.images)
    batch_size, per_epoch = config.data.batch_size, job.steps_per_epoch
    done, total = int(state.step), config.train.epochs * per_epoch

    @functools.lru_cache(maxsize=1)
    def order(epoch):
        rows = train.epoch_order(config.seed, epoch, len(images), batch_size)
        return jax.device_put(rows)

    with (
        pacing.pace(**config.checkpoint, max_minutes=config.train.max_minutes) as pace,
        progress.shown(total * batch_size, done * batch_size) as show,
    ):
        while done < total:
            epoch, start = divmod(done, per_epoch)
            if start == 0:
                state = train.start_epoch(state)
                pace.start_epoch()
            stop = start + pace.next_piece(done, per_epoch - start)
            with pace.timed(stop - start):
                state = job.run_steps(
                    state, images, order(epoch), start, stop, job.hparams
                )
                done = int(state.step)
            show(done * batch_size, label(config, epoch), train.epoch_means(state))
            if stop == per_epoch:
                state = end_epoch(session, state, pace)
            if stop == per_epoch or pace.save_is_due(done):
                saved.save(state)
                pace.was_saved()
            stop_early(session, state, pace, unfinished=done < total)
    return state


def restore_or_begin(session: Session) -> TrainState:
    """The newest saved state, or a new one; the log reaches exactly as far."""
    job = session.job
    with foreseen():
        state = session.saved.restore_latest(jax.eval_shape(job.initial_state))
    if state is None:
        state = job.initial_state()
        sizes = [leaf.size for leaf in jax.tree.leaves(state.params)]
        LOGGER.info("%s parameters", f"{sum(sizes):,}")
    else:
        LOGGER.info("going on from step %d", state.step)
    experiment.drop_rows_after(session.folder, int(state.step))
    # Where the arrays live is part of what was compiled: let it be said, and so the
    # same, for a new state and a restored one.
    return jax.device_put(state, jax.devices()[0])


def end_epoch(session: Session, state: TrainState, pace: pacing.Pace) -> TrainState:
    """Evaluates on the validation images, logs, pictures; returns the new record."""
    config, job, folder, _ = session
    epoch, params = int(state.step) // job.steps_per_epoch, train.shown_params(state)
    where = {"step": int(state.step), "epoch": epoch, "stage": 0}
    training = {
        **train.epoch_means(state),
        "lr": float(job.learning_rate(state.step - 1)),
        "bad_steps": int(state.bad_steps),
        "seconds": pace.epoch_seconds,
        "images_per_second": pace.epoch_rate() * config.data.batch_size,
    }
    rows, elbo = [{**where, "split": "train", **training}], None
    if len(job.dataset.valid.images):
        terms = job.terms(params, job.dataset.valid.images, job.hparams)
        means = {name: evaluate.estimate(v).value for name, v in terms.items()}
        rows.append({**where, "split": "valid", **means})
        elbo = means["elbo"]
    for row in rows:
        experiment.append_row(folder, row)
    LOGGER.info("%s", progress.epoch_line(label(config, epoch - 1), rows))
    every = config.eval.pictures_every
    if every and epoch % every == 0 and epoch < config.train.epochs:
        plots.of_epoch(folder / "plots", *pictured(session, params), epoch)
    return train.with_best(state, elbo)


def stop_early(
    session: Session, state: TrainState, pace: pacing.Pace, unfinished: bool
) -> None:
    """Raises ``Stopped``, with the state saved, if there is a reason."""
    config, step = session.config, int(state.step)
    if (bad := int(state.bad_in_a_row)) >= config.train.max_bad_steps:
        session.saved.save(state)
        lr = float(session.job.learning_rate(state.step - 1))
        raise Stopped(
            f"Stopped at step {step}: {bad} steps in a row had a loss or a gradient "
            f"that is not finite, at a learning rate of {lr:g}. Their updates were "
            "skipped. In a new run, a lower --config.optim.lr or "
            "--config.optim.clip_norm=100 may help.",
            exit_code=1,
        )
    if unfinished and (reason := pace.reason_to_stop()):
        session.saved.save(state)
        raise Stopped(
            f"Stopped at step {step}, saved: {reason}. To go on: "
            f"python main.py --workdir={session.folder}",
            exit_code=pace.exit_code(),
        )


def chosen(session: Session, state: TrainState) -> TrainState:
    """The state that ``eval.checkpoint`` names."""
    best = int(state.best_step)
    if session.config.eval.checkpoint == "latest" or best in (0, int(state.step)):
        return state
    with foreseen():
        return session.saved.restore(best, state)


def finish(session: Session, state: TrainState) -> None:
    """Evaluates on the test images: pictures, ``eval.json`` and a table."""
    config, job, folder, _ = session
    trained_epochs = int(state.step) // job.steps_per_epoch
    state = chosen(session, state)
    params, images = train.shown_params(state), job.dataset.test.images
    plots.of_run(
        folder / "plots", *pictured(session, params), experiment.read_rows(folder)
    )
    terms = job.terms(params, images, job.hparams)
    found = {
        "split": "test",
        "checkpoint": config.eval.checkpoint,
        "step": int(state.step),
        "epoch": int(state.step) // job.steps_per_epoch,
        "trained_epochs": trained_epochs,
        "data": report.source(job.dataset),
        **report.evaluation(
            terms, job.model, images, scale=config.data.scale, kl=config.loss.kl
        ),
    }
    found["numbers"] |= report.sigma(job.model, params, job.hparams)
    experiment.write_json(folder / "eval.json", found)
    LOGGER.info("%s\nrun directory: %s", report.table(found), folder)


def pictured(session: Session, params) -> tuple:
    """What pictures are made of: the model, and test images with their labels."""
    job = session.job
    images, labels = job.dataset.test
    x = pixels.to_float(jax.device_put(images[:PICTURED]), session.config.data.scale)
    labels = None if labels is None else labels[:PICTURED]
    return job.model, params, job.hparams, x, labels


def label(config: ConfigDict, epoch: int) -> str:
    return f"epoch {epoch + 1}/{config.train.epochs}"
