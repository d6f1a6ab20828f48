"""What a command does: the one training loop, evaluation, and sampling."""

import contextlib
import functools
import json
import pathlib
import shlex
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
    tensorboard,
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
        if config.train.tensorboard:
            tensorboard.check_installed()
    if found:
        LOGGER.info("%s is finished.\n%s", workdir, report.table(found))
        LOGGER.info("To evaluate it again: python main.py --mode=eval --workdir=...")
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
    """Writes the means of images from the prior of a run: a picture and an array."""
    del log
    with existing(config, workdir) as (session, state):
        (state, _), job = chosen(session, state), session.job
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
            shapes = jax.eval_shape(job.initial_state)
            state = saved.restore_latest(shapes, repair=False)
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
            piece = pace.next_piece(done, per_epoch - start)
            with pace.timed(piece):
                state = job.run_steps(
                    state, images, order(epoch), start, start + piece, job.hparams
                )
                done = int(state.step)
            stop_if_bad(session, state)
            show(done * batch_size, label(config, epoch), train.epoch_means(state))
            epoch_is_over = done % per_epoch == 0
            if epoch_is_over:
                state = end_epoch(session, state, pace)
            if epoch_is_over or pace.save_is_due(done):
                saved.save(state)
                pace.was_saved()
            if done < total and (reason := pace.reason_to_stop()):
                saved.save(state)
                raise Stopped(
                    f"Stopped at step {done}, saved: {reason}. To go on: "
                    f"python main.py --workdir={shlex.quote(str(session.folder))}",
                    pace.exit_code(),
                )
    return state


def restore_or_begin(session: Session) -> TrainState:
    """The newest saved state, or a new one; the log reaches exactly as far."""
    job = session.job
    with foreseen():
        shapes = jax.eval_shape(job.initial_state)
        state = session.saved.restore_latest(shapes, repair=True)
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
        "lr": float(job.schedule(job.hparams, state.step - 1).lr),
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
    if config.train.tensorboard:
        tensorboard.write_rows(folder, rows)
    LOGGER.info("%s", progress.epoch_line(label(config, epoch - 1), rows))
    every = config.eval.pictures_every
    if every and epoch % every == 0 and epoch < config.train.epochs:
        logged = experiment.read_rows(folder)
        plots.of_epoch(folder / "plots", *pictured(session, params), logged, epoch)
    return train.with_best(state, elbo)


def stop_if_bad(session: Session, state: TrainState) -> None:
    """Raises ``Stopped``, with the state saved, if the numbers have blown up."""
    job, bad = session.job, int(state.bad_in_a_row)
    if bad < session.config.train.max_bad_steps:
        return
    session.saved.save(state)
    lr = float(job.schedule(job.hparams, state.step - 1).lr)
    raise Stopped(
        f"Stopped at step {int(state.step)}: {bad} steps in a row had a loss or a "
        f"gradient that is not finite, at a learning rate of {lr:g}. Their updates "
        "were skipped. In a new run, a lower --config.optim.lr or "
        "--config.optim.clip_norm=100 may help.",
        exit_code=1,
    )


def chosen(session: Session, state: TrainState) -> tuple[TrainState, str]:
    """The state that ``eval.checkpoint`` names, and whether it is best or latest."""
    best, wanted = int(state.best_step), session.config.eval.checkpoint
    if wanted == "latest" or not best:
        return state, "latest"
    if best == int(state.step):
        return state, "best"
    try:
        return session.saved.restore(best, state), "best"
    except ValueError as error:
        LOGGER.warning("%s; the latest is used instead of the best", error)
        return state, "latest"


def finish(session: Session, state: TrainState) -> None:
    """Evaluates on the test images: ``eval.json``, a table, the pictures."""
    config, job, folder, _ = session
    trained_epochs = int(state.step) // job.steps_per_epoch
    state, which = chosen(session, state)
    params, images = train.shown_params(state), job.dataset.test.images
    terms = job.terms(params, images, job.hparams)
    found = {
        "split": "test",
        "checkpoint": which,
        "step": int(state.step),
        "epoch": int(state.step) // job.steps_per_epoch,
        "trained_epochs": trained_epochs,
        "data": report.source(job.dataset),
        **report.evaluation(
            terms, job.model, images, scale=config.data.scale, kl=config.loss.kl
        ),
    }
    groups = evaluate.posterior_means(
        job.model,
        params,
        images,
        job.hparams,
        scale=config.data.scale,
        batch_size=config.eval.batch_size,
    )
    found["numbers"] |= report.sigma(job.model, params, job.hparams)
    found["numbers"] |= report.active_units(groups)
    experiment.write_json(folder / "eval.json", found)
    LOGGER.info("%s", report.table(found))
    shown = tuple(means[:PICTURED] for means in groups)
    rows = experiment.read_rows(folder)
    plots.of_run(folder / "plots", *pictured(session, params), shown, rows)
    LOGGER.info("run directory: %s", folder)


def pictured(session: Session, params) -> tuple:
    """What pictures are made of: the model, and test images with their labels."""
    job = session.job
    images, labels = job.dataset.test
    x = pixels.to_float(jax.device_put(images[:PICTURED]), session.config.data.scale)
    if labels is not None:
        # Of several factors, the first is shown.
        labels = labels[:PICTURED].reshape(len(x), -1)[:, 0]
    return job.model, params, job.hparams, x, labels


def label(config: ConfigDict, epoch: int) -> str:
    return f"epoch {epoch + 1}/{config.train.epochs}"
