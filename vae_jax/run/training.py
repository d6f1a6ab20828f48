"""The one training loop, of models that grow and of those that do not."""

import functools

from vae_jax import (
    evaluate,
    experiment,
    files,
    growth,
    metrics,
    pacing,
    progress,
    train,
)
from vae_jax import tensorboard as tensorboard_files
from vae_jax.assembly import Job, Phase
from vae_jax.run import final, profiling, replay
from vae_jax.run.session import Session, Stopped, dispensable, foreseen, go_on
from vae_jax.run.stepping import Feed, feed_of
from vae_jax.train import TrainState

LOGGER = experiment.LOGGER


def fit(session: Session, profile: bool) -> TrainState:
    """Trains up to the last epoch. What is done is logged, saved and pictured.

    With ``profile``, so is where the time of a step goes.
    """
    config, job, _, saved = session
    feed = feed_of(job, config)
    state = feed.begin(restore_or_begin(session))
    done, total = int(state.step), job.plan[-1].end_step
    stop_if_bad(session, feed, state)  # as it was when it was saved
    look = profiling.Profile(session.folder, profile)
    images_done = functools.partial(growth.images_done, job.plan)
    with (
        pacing.pace(**config.checkpoint, max_minutes=config.train.max_minutes) as pace,
        progress.shown(images_done(total), images_done(done)) as show,
    ):
        epoch_is_over = True  # or not, when a run goes on: it is asked at once
        while done < total and not (epoch_is_over and out_of_patience(session, state)):
            phase = job.phase_at(done)
            start = phase.stage.epoch_at(done)[1]
            if done == phase.stage.first_step:
                pace.start_stage()
            if start == 0:
                pace.start_epoch()
            piece = pace.next_piece(done, phase.stage.steps_per_epoch - start)
            with look.around(phase.stage.index, done, piece), pace.timed(piece):
                state = feed.take(phase, state, piece)
                done = int(state.step)
            show(images_done(done), label(session, done), train.epoch_means(state))
            epoch_is_over = phase.stage.epoch_at(done)[1] == 0
            if epoch_is_over:
                state = end_epoch(session, state, pace)
            if epoch_is_over or pace.save_is_due(done):
                saved.save(state)
                pace.was_saved()
            stop_if_bad(session, feed, state)
            # No limit of time is in the way of the evaluation; a signal is.
            if (reason := pace.reason_to_stop()) and (done < total or pace.signal):
                saved.save(state)
                raise Stopped(
                    f"Stopped at step {done}, saved: {reason}. To go on: "
                    f"{go_on(session.folder)}",
                    pace.exit_code(),
                )
    look.end()
    return state


def restore_or_begin(session: Session) -> TrainState:
    """The newest saved state, or a new one; the log reaches exactly as far."""
    job = session.job
    with foreseen():
        state = session.saved.restore_latest(job.shapes, repair=True)
    if state is None:
        state = job.initial_state()
        LOGGER.info("%s parameters", f"{train.count(state.params):,}")
    else:
        LOGGER.info("going on from step %d", state.step)
    metrics.go_on_after(session.folder, int(state.step), logged(job, int(state.step)))
    return state


def logged(job: Job, step: int) -> set[tuple[int, str]]:
    """Epochs and splits of which there are rows when so many steps are done."""
    epochs = job.phase_of(step).stage.epochs_done(step) if step else 0
    splits = ["train"] + ["valid"] * bool(len(job.dataset.valid.images))
    return {(epoch, split) for epoch in range(1, epochs + 1) for split in splits}


def end_epoch(session: Session, state: TrainState, pace: pacing.Pace) -> TrainState:
    """Evaluates on the validation images, logs, pictures; returns the new record."""
    config, job, folder, _ = session
    step, params = int(state.step), train.shown_params(state)
    phase = job.phase_of(step)
    where = {
        "step": step,
        "epoch": phase.stage.epochs_done(step),
        **phase.place_at(step),
    }
    training = {
        **phase.own_terms(train.epoch_means(state)),
        "lr": float(phase.schedule(phase.hparams, state.step - 1).lr),
        "bad_steps": int(state.bad_steps),
        "last_bad_step": int(state.last_bad_step),
        "seconds": pace.epoch_seconds,
        "images_per_second": pace.epoch_rate() * phase.stage.batch_size,
    }
    rows, bound = [{**where, "split": "train", **training}], None
    if len(job.dataset.valid.images):
        terms = phase.terms(params, job.dataset.valid.images, phase.hparams_at(step))
        means = {name: evaluate.estimate(v).value for name, v in terms.items()}
        rows.append({**where, "split": "valid", **means})
        bound = means.get("iw_bound", means["elbo"])  # the one that is trained for
    for row in rows:
        metrics.append_row(folder, row)
    if config.train.tensorboard:
        with dispensable():
            tensorboard_files.write_rows(folder, rows)
    LOGGER.info("%s", progress.epoch_line(label(session, step), rows))
    with dispensable():
        picture_epoch(session, phase, params, step)
    return train.with_best(state, bound) if job.is_rival(step) else state


def out_of_patience(session: Session, state: TrainState) -> bool:
    """Whether the bound has not become better for ``train.patience`` epochs."""
    patience = session.config.train.patience
    if not patience or (since := session.job.epochs_since_best(state)) < patience:
        return False
    LOGGER.info(
        "ended by train.patience: no better bound on the validation images for %s "
        "epochs",
        since,
    )
    return True


def picture_epoch(session: Session, phase: Phase, params, step: int) -> None:
    """Pictures of an epoch that shall have some: every few, and a stage's last."""
    config, job, folder, _ = session
    epoch, every = phase.stage.epochs_done(step), config.eval.pictures_every
    run_is_over = step == job.plan[-1].end_step
    stage_is_over = step == phase.stage.end_step and phase.model.num_stages > 1
    names = [f"{epoch:04d}"] * bool(every and epoch % every == 0 and not run_is_over)
    names += [f"stage{phase.stage.index}"] * stage_is_over
    if not names:
        return
    from vae_jax import plots  # see ``final.pictured``

    for name in names:
        subject = final.pictured(session, phase.trained(params, step))
        rows = metrics.read_rows(folder)
        files.make_folder(folder / "plots")
        plots.of_moment(folder / "plots", name, subject, rows, epoch)


def stop_if_bad(session: Session, feed: Feed, state: TrainState) -> None:
    """Raises ``Stopped``, with the state saved, if the numbers have blown up."""
    bad, step = int(state.bad_in_a_row), int(state.step)
    none_was_good = bad == session.job.plan[-1].end_step
    if bad < session.config.train.max_bad_steps and not none_was_good:
        return
    session.saved.save(state)
    LOGGER.info("%d steps in a row had a loss or a gradient that is not finite", bad)
    raise Stopped(
        f"Stopped at step {step}. Their updates were skipped, and the state is saved.\n"
        f"{replay.blown_up(session, feed.alone(), state)}\nIn a new run, a lower "
        "--config.optim.lr or --config.optim.clip_norm=100 may help.",
        exit_code=1,
    )


def label(session: Session, step: int) -> str:
    """Where training is after so many steps, in a few words."""
    job = session.job
    phase = job.phase_of(step)
    epoch = -(-(step - phase.stage.first_step) // phase.stage.steps_per_epoch)
    text = f"epoch {phase.stage.first_epoch + epoch}/{job.total_epochs}"
    if phase.model.num_stages == 1:
        return text
    height, width = phase.model.resolution
    stage = f"stage {phase.stage.index}/{phase.model.num_stages - 1}"
    return f"{text}, {stage}, {height}x{width}, alpha {phase.alpha_at(step):.2f}"
