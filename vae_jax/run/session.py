"""One process at work on one run directory, and how its errors are said."""

import collections
import contextlib
import os
import pathlib
import shlex
from collections.abc import Iterator
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from vae_jax import assembly, checkpoint, experiment, files, lock, report, settings
from vae_jax.train import TrainState

LOGGER = experiment.LOGGER


class Refused(Exception):
    """A mistake that its user can mend; the text is all that they need."""


class Stopped(Exception):
    """Training ended early, and is saved."""

    def __init__(self, reason: str, exit_code: int):
        super().__init__(reason)
        self.exit_code = exit_code


class Failed(Exception):
    """The machine could not write or read; the text says how to go on."""


class Session(NamedTuple):
    """What every part of a command works with."""

    config: ConfigDict
    job: assembly.Job
    folder: pathlib.Path
    saved: checkpoint.Checkpoints


@contextlib.contextmanager
def foreseen() -> Iterator[None]:
    """Turns the errors that a user's input can cause into ``Refused``."""
    try:
        yield
    except files.NotWritten:  # no mistake of the user's
        raise
    except (ValueError, TypeError, OSError) as error:
        raise Refused(str(error)) from error


@contextlib.contextmanager
def saved_so_far(session: Session) -> Iterator[None]:
    """Turns an error of the disk into ``Failed``, which says what is saved."""
    try:
        yield
    except OSError as error:
        raise Failed(f"{error}. {_ways_on(session)}") from error


def _ways_on(session: Session) -> str:
    if not session.folder.exists():
        return f"{session.folder} is gone; if it was moved, name it with --workdir"
    with contextlib.suppress(OSError, ValueError):
        steps = session.saved.steps()
        saved = f"Saved up to step {steps[-1]}" if steps else "No step is saved"
        return f"{saved}. Once this is mended, to go on: {go_on(session.folder)}"
    return f"Once this is mended, to go on: {go_on(session.folder)}"


def go_on(folder: pathlib.Path | str) -> str:
    """The command that goes on with a run."""
    return f"python main.py --workdir={shlex.quote(str(folder))}"


@contextlib.contextmanager
def dispensable() -> Iterator[None]:
    """Lets training go on without a picture: what it cannot do without fails itself."""
    try:
        yield
    except OSError as error:
        LOGGER.warning("%s; training goes on without", error)


def devices() -> list[jax.Device]:
    """All that JAX can use.

    Raises:
        ValueError: if ``JAX_PLATFORMS`` names some that are not here.
    """
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            "JAX_PLATFORMS: must name devices that JAX can use here, got "
            f"{os.environ.get('JAX_PLATFORMS')!r} ({type(error).__name__}: "
            f"{error!s:.200})"
        ) from error


def assemble(config: ConfigDict) -> assembly.Job:
    with foreseen():
        kinds = collections.Counter(device.device_kind for device in devices())
        listed = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
        LOGGER.info("devices: %s", listed)
        dataset = assembly.load_data(config)
        return assembly.build(config, dataset)


@contextlib.contextmanager
def opened(
    config: ConfigDict, job: assembly.Job, folder: pathlib.Path
) -> Iterator[Session]:
    """A session on a run directory that is there."""
    ends_of_stages = {phase.stage.end_step for phase in job.phases}
    plain = settings.plain(config)
    with checkpoint.Checkpoints(folder, ends_of_stages, plain) as saved:
        yield Session(config, job, folder, saved)


@contextlib.contextmanager
def alone(folder: pathlib.Path) -> Iterator[None]:
    """Keeps every other process that would write there out of a run directory."""
    with contextlib.ExitStack() as stack:
        with foreseen(), experiment.writable(folder):
            stack.enter_context(lock.held(folder))
        yield


@contextlib.contextmanager
def existing(config, workdir, reads_only: bool) -> Iterator[Session]:
    """A session on a run that is there. One that only reads may be on one in use."""
    folder = pathlib.Path(workdir).absolute()
    with foreseen():
        experiment.check_folder(workdir, settings.plain(config))
        if not reads_only:
            lock.check_free(folder)  # before the data are loaded
    job = assemble(config)
    with contextlib.ExitStack() as stack:
        if not reads_only:
            stack.enter_context(alone(folder))
            files.clear(folder)
        with foreseen():
            experiment.check_data(workdir, report.digests(job.dataset))
        yield stack.enter_context(opened(config, job, folder))


def newest(session: Session) -> TrainState:
    """The newest state that the run has saved.

    Raises:
        Refused: if there is none, or none that is whole.
    """
    with foreseen():
        state = session.saved.restore_latest(session.job.shapes, repair=False)
    if state is None:
        raise Refused(f"--workdir: {session.folder} has no checkpoint yet")
    return state
