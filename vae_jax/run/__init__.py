"""What a command does: training and what goes before and after it."""

import io
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging as absl_logging
from ml_collections import ConfigDict

from vae_jax import (
    assembly,
    compilation,
    evaluate,
    experiment,
    files,
    lock,
    logs,
    report,
    settings,
    tensorboard,
    train,
)
from vae_jax.run import comparing, final, following, replay, team, training
from vae_jax.run.session import (
    Failed,
    Refused,
    Stopped,
    alone,
    assemble,
    existing,
    foreseen,
    go_on,
    newest,
    opened,
    saved_so_far,
)

LOGGER = experiment.LOGGER
NO_MEMORY = "RESOURCE_EXHAUSTED"
OUT_OF_MEMORY = (
    "out of memory; more train.microbatches, train.remat, or a smaller "
    "eval.batch_size, loss.kl_samples, loss.iw_samples or model may fit, and what is "
    "saved is whole"
)


def run(
    mode: str,
    config: ConfigDict | None,
    workdir: str | None,
    *,
    compilation_cache: bool,
    place: tuple | None,
    notes: Sequence[str] = (),
    **options: Any,
) -> int:
    """Carries out one command and returns its exit code: 1 if the machine failed.

    Args:
        mode: ``train``, ``doctor``, ``eval``, ``sample``, ``replay`` or ``compare``.
        config: complete and checked; None to compare runs, which have their own.
        workdir: the run directory; if None, training makes one.
        compilation_cache: whether compiled functions are kept for later processes.
        place: of this process among several that train together; see ``team.join``.
        notes: on the command, to be shown before it is carried out.
        **options: ``command``, the command line; ``num``, ``sample_seed``, ``stage``,
            ``step``, ``workdirs``, ``out``, ``profile``.
    """
    absl_logging.set_verbosity(absl_logging.WARNING)  # orbax says a lot under INFO
    jax.config.update("jax_enable_x64", False)  # whatever the environment says
    modes = {
        "train": run_training,
        "doctor": run_doctor,
        "eval": run_evaluation,
        "sample": run_sampling,
        "replay": run_replay,
        "compare": run_comparison,
    }

    def carry_out(log):
        for note in notes:
            LOGGER.warning("%s", note)
        modes[mode](config, workdir, log, **options)

    with logs.shown() as log:
        compilation.keep(compilation_cache)
        if not place:
            return code_of(lambda: carry_out(log))
        if code := code_of(lambda: team.join(*place)):
            return code
    if not team.leads():
        return following.follow(config)
    code = 1
    try:
        with logs.shown() as log:
            code = code_of(lambda: carry_out(log))
    finally:
        team.tell(team.END, code)
    return code


def code_of(command: Callable[[], None]) -> int:
    """The exit code of what a command does, its foreseeable errors said in a line."""
    try:
        command()
    except Refused as error:
        print(f"main.py: {error}", file=sys.stderr)
        return 2
    except (Failed, OSError) as error:
        print(f"main.py: {error}", file=sys.stderr)
        return 1
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not (isinstance(error, MemoryError) or NO_MEMORY in str(error)):
            raise
        print(f"main.py: {OUT_OF_MEMORY}: {error!s:.300}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        LOGGER.info("%s", stopped)
        return stopped.exit_code
    return 0


def run_training(config, workdir, log, command, profile, **_) -> None:
    """Trains to the end, or on from where an earlier process stopped; evaluates."""
    plain = settings.plain(config)
    with foreseen():
        experiment.check_folder(workdir, plain)
        epochs = assembly.total_epochs(config)
        found = experiment.finished(
            workdir, epochs, config.train.patience, report.table
        )
        if workdir:
            lock.check_free(pathlib.Path(workdir))  # before the data are loaded
        if config.train.tensorboard:
            tensorboard.check_installed()
    if found:
        LOGGER.info("%s is finished.\n%s", workdir, found)
        LOGGER.info("To evaluate it again: %s --mode=eval", go_on(workdir))
        return
    job = assemble(config)
    with foreseen():
        team.check_agreement(config, job)
    digests = report.digests(job.dataset)
    with foreseen():
        folder = experiment.make_folder(workdir, config.exp_name)
    with alone(folder):
        with foreseen():  # again, as another process may have been there since
            experiment.check_folder(folder, plain)
            experiment.check_data(folder, digests)
            files.clear(folder)
            experiment.describe(folder, plain, digests)
            logs.write_to(log, folder)
            experiment.record_environment(folder, command)
        LOGGER.info("run directory: %s", folder)
        with opened(config, job, folder) as session, saved_so_far(session):
            final.finish(session, training.fit(session, profile))


def run_doctor(config, workdir, log, **_) -> None:
    """Says what a config will do with its data on this device; writes nothing."""
    del workdir, log
    from vae_jax.run import doctor  # and scipy, which training can do without

    doctor.look(config, assemble(config))


def run_evaluation(config, workdir, log, stage, command, **_) -> None:
    """Evaluates what a run has saved, and makes its final pictures again."""
    with existing(config, workdir, reads_only=False) as session:
        state = newest(session)
        logs.write_to(log, session.folder)
        experiment.record_environment(session.folder, command)
        final.finish(session, state, stage, full=True)


def run_sampling(config, workdir, log, num, sample_seed, stage, **_) -> None:
    """Writes the means of images from the prior of a run: a picture and an array."""
    del log
    from vae_jax import plots  # see ``final.pictured``

    with existing(config, workdir, reads_only=True) as session:
        state, _ = final.chosen(session, newest(session), stage)
        params, key = train.shown_params(state), jax.random.key(sample_seed)
        phase, step = session.job.phase_of(int(state.step)), int(state.step)
        of = phase.trained(params, step)
        zs = evaluate.from_prior(of, key, num)
        size = min(num, session.config.eval.batch_size)
        images = evaluate.images_of(of, zs, batch_size=size, draw=False)
        name = f"samples_{num}_seed{sample_seed}"
        name += "" if stage is None else f"_stage{stage}"
        path = session.folder / "samples" / name
        files.make_folder(path.parent)
        plots.samples(path.with_suffix(".png"), images)
        content = io.BytesIO()  # numpy says nothing of why it could not write a file
        np.save(content, np.clip(images, 0, 1))
        with files.replacing(path.with_suffix(".npy")) as temporary:
            temporary.write_bytes(content.getbuffer())
        LOGGER.info("%d samples of step %d: %s.png and .npy", num, state.step, path)


def run_replay(config, workdir, log, step, **_) -> None:
    """Computes one step of a run again and looks into it."""
    del log
    with existing(config, workdir, reads_only=True) as session:
        replay.replay(session, step)


def run_comparison(config, workdir, log, workdirs, out, **_) -> None:
    """Shows several evaluated runs in one table, and writes it."""
    del config, workdir, log
    comparing.compare(workdirs, out)
