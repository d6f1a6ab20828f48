"""The run directory: its making, and what it says of its run."""

import contextlib
import datetime
import errno
import importlib.metadata
import logging
import os
import pathlib
import platform
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import jax

from vae_jax import __version__, files, machine, settings

LOGGER = logging.getLogger("vae_jax")
DATA = "data.json"
# What a disk does that another --workdir on it would not mend.
NO_MISTAKES = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def check_folder(workdir: pathlib.Path | str | None, config: dict[str, Any]) -> None:
    """Accepts a run directory that is new, empty, or a run of the same config.

    Raises:
        ValueError: if it is a file, holds something else or symbolic links, or is a run
            of another config.
    """
    if workdir is None:
        return
    try:
        os.fspath(workdir).encode()
    except UnicodeEncodeError as error:  # of bytes that the checkpoint library refuses
        raise ValueError(f"--workdir: must be UTF-8, got {workdir!a}") from error
    folder = pathlib.Path(workdir)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"--workdir: must be a folder, got the file {workdir}")
    # With links in it, a run of somebody else's could have our own files overwritten.
    if links := _links(folder):
        raise ValueError(
            f"--workdir: {workdir} must hold no symbolic links, got "
            f"{', '.join(sorted(links)[:5])}; it may be one itself"
        )
    if not (folder / "config.json").exists():
        # Not counted: what a process that was killed here may have left.
        if any(not path.name.startswith(".") for path in folder.iterdir()):
            raise ValueError(
                "--workdir: must be new, empty or an earlier run, "
                f"got {workdir}, which has files but no config.json"
            )
        return
    stored = _read_object(
        folder / "config.json",
        "the same command with a new --workdir writes such a file anew",
    )
    conflicts = settings.conflicts(stored, config)
    if conflicts:
        raise ValueError(
            f"--workdir: {workdir} is a run of another config: {conflicts}"
        )


def _links(folder: pathlib.Path) -> list[str]:
    """Paths of all symbolic links anywhere below a folder."""
    paths = (
        os.path.join(place, name)
        for place, folders, names in os.walk(folder)
        for name in (*folders, *names)
    )
    return [os.path.relpath(path, folder) for path in paths if os.path.islink(path)]


def check_data(workdir: pathlib.Path | str, digests: dict[str, str]) -> None:
    """Accepts a run directory whose images, if it has seen any, are these.

    Raises:
        ValueError: if they are others: test images may have been trained on.
    """
    path = pathlib.Path(workdir, DATA)
    if not path.exists():
        if path.with_name("metrics.jsonl").exists():
            LOGGER.warning(
                "%s is gone: nothing tells whether the run began with these images",
                path,
            )
        return
    stored = _read_object(
        path,
        "delete it if you know that the images are those with which the run began",
    )
    others = [part for part in digests if stored.get(part) != digests[part]]
    if others:
        raise ValueError(
            f"--workdir: {workdir} must go on with its own images, got others for "
            f"{', '.join(others)}; have files of the data been added or replaced?"
        )


def make_folder(workdir: str | None, exp_name: str) -> pathlib.Path:
    """The run directory, made if need be: ``workdir``, or a new one.

    Raises:
        OSError: if it cannot be made.
        NotWritten: if that is because the disk is full or fails.
    """
    with writable(workdir or "experiments"):
        folder = pathlib.Path(workdir) if workdir else _new_folder(exp_name)
        with files.naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def describe(
    folder: pathlib.Path, config: dict[str, Any], digests: dict[str, str]
) -> None:
    """Writes what the run is of, its config and its images, into its directory.

    Raises:
        OSError: if that cannot be written.
        NotWritten: if that is because the disk is full or fails.
    """
    with writable(folder):
        files.write_json(folder / "config.json", config)
        files.write_json(folder / DATA, digests)
        files.make_folder(folder / "plots")


@contextlib.contextmanager
def writable(folder: pathlib.Path | str) -> Iterator[None]:
    """Says of the errors in it that the run directory must be one to write to.

    Not of a disk that is full or fails, of which no other choice of a name would help.

    Raises:
        OSError: with that text.
    """
    try:
        yield
    except OSError as error:
        cause = error.__cause__ or error
        if cause.errno in NO_MISTAKES:
            raise
        text = f"--workdir: must be writable, got {folder}: {cause.strerror or cause}"
        raise OSError(text) from error


def _new_folder(exp_name: str) -> pathlib.Path:
    now = datetime.datetime.now().strftime("%Y%m%d_%H%M%S")
    for attempt in range(1, 100):
        suffix = f"_{attempt}" if attempt > 1 else ""
        folder = pathlib.Path("experiments", f"{exp_name}_{now}{suffix}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)  # exclusive: two runs never share a folder
            return folder
    raise FileExistsError(f"run directory: no free name for {exp_name}_{now}")


def finished(
    workdir: str | None,
    epochs: int,
    patience: int,
    table: Callable[[dict[str, Any]], str],
) -> str | None:
    """The evaluation of a run that has come to its end, if this is one.

    A damaged one is moved aside: it can be made again.

    Args:
        workdir: of the run.
        epochs: that end a run.
        patience: epochs without a better bound, which end it too; 0: they do not.
        table: shows an evaluation.
    """
    path = pathlib.Path(workdir or "", "eval.json")
    if workdir is None or not path.exists():
        return None
    try:
        found = files.read_json(path, dict)
        shown, done = table(found), found["trained_epochs"] >= epochs
        done = done or 0 < patience <= found.get("epochs_since_best", 0)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        _move_aside(path, f"damaged: {type(error).__name__}: {error}"[:200])
        return None
    return shown if done else None


def _read_object(path: pathlib.Path, remedy: str) -> dict[str, Any]:
    try:
        return files.read_json(path, dict)
    except ValueError as error:
        raise ValueError(f"{error}; {remedy}") from error


def _move_aside(path: pathlib.Path, reason: str) -> None:
    aside = files.name_aside(path)
    with files.naming(aside):
        path.rename(aside)
    LOGGER.warning("%s: %s; moved to %s", path, reason, aside.name)


def record_environment(folder: pathlib.Path, command: list[str]) -> None:
    """Adds this process to ``environment.json``: a list, one entry for each process.

    A damaged list is moved aside: it is no reason not to train.
    """
    path, earlier = folder / "environment.json", []
    if path.exists():
        try:
            earlier = files.read_json(path, list)
            if not all(isinstance(entry, dict) for entry in earlier):
                raise ValueError(f"{path}: must hold objects, got {earlier!r:.40}")
        except ValueError as error:
            _move_aside(path, f"damaged: {error}")
            earlier = []
    versions = {"vae_jax": __version__}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    entry = {
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": command,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": machine.cores(),
        "devices": [f"{d.platform}: {d.device_kind}" for d in jax.devices()],
        # Of training; evaluations are float32's.
        "matmul_precision": jax.config.jax_default_matmul_precision or "default",
        "versions": versions,
        **_checkout(),
    }
    files.write_json(path, [*earlier, entry])


def _checkout() -> dict[str, str | None]:
    """Which commit the code is of, and what is not committed; None if it is of none."""
    # Installed below another project's checkout, it is not of that.
    ours = _git("ls-files", pathlib.Path(__file__).name)
    asked = {
        "git_commit": ("rev-parse", "HEAD"),
        "git_uncommitted": ("status", "--porcelain", "--untracked-files=no"),
    }
    return {key: _git(*args) if ours else None for key, args in asked.items()}


def _git(*args: str) -> str | None:
    """What git says of the code that runs; None where there is no checkout."""
    root = pathlib.Path(__file__).parent
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", "-C", str(root), *args], capture_output=True, text=True, timeout=5
        )
        return done.stdout.strip() if done.returncode == 0 else None
    return None
