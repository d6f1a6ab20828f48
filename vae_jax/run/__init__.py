"""What a command does: training, a look ahead, evaluation, sampling, comparing."""

import json
import sys
from typing import Any

import jax
import numpy as np
from absl import logging as absl_logging
from ml_collections import ConfigDict

from vae_jax import assembly, evaluate, experiment, plots, report, tensorboard, train
from vae_jax.run import comparing, doctor, final, training
from vae_jax.run.session import (
    Refused,
    Stopped,
    assemble,
    existing,
    foreseen,
    opened,
)

LOGGER = experiment.LOGGER


def run(
    mode: str, config: ConfigDict | None, workdir: str | None, **options: Any
) -> int:
    """Carries out one command and returns its exit code.

    Args:
        mode: ``train``, ``doctor``, ``eval``, ``sample`` or ``compare``.
        config: complete and checked; None to compare runs, which have their own.
        workdir: the run directory; if None, training makes one.
        **options: ``command``, the command line; ``num``, ``sample_seed``, ``stage``,
            ``workdirs``, ``out``.
    """
    absl_logging.set_verbosity(absl_logging.WARNING)  # orbax says a lot under INFO
    modes = {
        "train": run_training,
        "doctor": run_doctor,
        "eval": run_evaluation,
        "sample": run_sampling,
        "compare": run_comparison,
    }
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
        found = experiment.finished(workdir, assembly.total_epochs(config))
        if config.train.tensorboard:
            tensorboard.check_installed()
    if found:
        LOGGER.info("%s is finished.\n%s", workdir, report.table(found))
        LOGGER.info("To evaluate it again: python main.py --mode=eval --workdir=...")
        return
    job = assemble(config)
    digests = report.digests(job.dataset)
    with foreseen():
        experiment.check_data(workdir, digests)
        folder = experiment.open_folder(workdir, plain)
        experiment.write_json(folder / experiment.DATA, digests)
        experiment.log_to(log, folder)
        experiment.record_environment(folder, command)
    LOGGER.info("run directory: %s", folder)
    with opened(config, job, folder) as session:
        final.finish(session, training.fit(session))


def run_doctor(config, workdir, log, **_) -> None:
    """Says what a config will do with its data on this device; writes nothing."""
    del workdir, log
    doctor.look(config, assemble(config))


def run_evaluation(config, workdir, log, stage, command, **_) -> None:
    """Evaluates what a run has saved, and makes its final pictures again."""
    with existing(config, workdir) as (session, state):
        experiment.log_to(log, session.folder)
        experiment.record_environment(session.folder, command)
        final.finish(session, state, stage, full=True)


def run_sampling(config, workdir, log, num, sample_seed, stage, **_) -> None:
    """Writes the means of images from the prior of a run: a picture and an array."""
    del log
    with existing(config, workdir) as (session, state):
        state, _ = final.chosen(session, state, stage)
        params, key = train.shown_params(state), jax.random.key(sample_seed)
        phase, step = session.job.phase_of(int(state.step)), int(state.step)
        images = evaluate.sample_means(
            phase.model, params, key, num, phase.hparams_at(step)
        )
        name = f"samples_{num}_seed{sample_seed}"
        name += "" if stage is None else f"_stage{stage}"
        path = session.folder / "samples" / name
        path.parent.mkdir(exist_ok=True)
        plots.samples(path.with_suffix(".png"), np.asarray(images))
        np.save(path.with_suffix(".npy"), np.clip(images, 0, 1))
        LOGGER.info("%d samples of step %d: %s.png and .npy", num, state.step, path)


def run_comparison(config, workdir, log, workdirs, out, **_) -> None:
    """Shows several evaluated runs in one table, and writes it."""
    del config, workdir, log
    comparing.compare(workdirs, out)
