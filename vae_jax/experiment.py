"""The run directory: its making, its logs, and files that are whole or not there."""

import contextlib
import datetime
import importlib.metadata
import json
import logging
import logging.handlers
import math
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax

from vae_jax import __version__, settings

LOGGER = logging.getLogger("vae_jax")
DATA = "data.json"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def check_folder(workdir: pathlib.Path | str | None, config: dict[str, Any]) -> None:
    """Accepts a run directory that is new, empty, or a run of the same config.

    Raises:
        ValueError: if it is a file, holds something else, or a run of another config.
    """
    if workdir is None:
        return
    folder = pathlib.Path(workdir)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"--workdir: must be a folder, got the file {workdir}")
    if not (folder / "config.json").exists():
        # Not counted: what a process that was killed here may have left.
        if any(not path.name.startswith(".") for path in folder.iterdir()):
            raise ValueError(
                "--workdir: must be new, empty or an earlier run, "
                f"got {workdir}, which has files but no config.json"
            )
        return
    stored = read_json(folder / "config.json")
    if not isinstance(stored, dict):
        raise ValueError(f"{folder / 'config.json'}: must be a JSON object")
    conflicts = settings.differences(stored, config)
    if conflicts:
        listing = "; ".join(
            f"{field} is {old!r} there, {new!r} here" for field, old, new in conflicts
        )
        raise ValueError(f"--workdir: {workdir} is a run of another config: {listing}")


def check_data(workdir: pathlib.Path | str | None, digests: dict[str, str]) -> None:
    """Accepts a run directory whose images, if it has seen any, are these.

    Raises:
        ValueError: if they are others: test images may have been trained on.
    """
    path = pathlib.Path(workdir or "", DATA)
    if workdir is None or not path.exists():
        return
    stored = read_json(path)
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
    """
    with writable(workdir or "experiments"):
        folder = pathlib.Path(workdir) if workdir else _new_folder(exp_name)
        folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def describe(
    folder: pathlib.Path, config: dict[str, Any], digests: dict[str, str]
) -> None:
    """Writes what the run is of, its config and its images, into its directory.

    Raises:
        OSError: if that cannot be written.
    """
    with writable(folder):
        write_json(folder / "config.json", config)
        write_json(folder / DATA, digests)
        (folder / "plots").mkdir(exist_ok=True)


@contextlib.contextmanager
def writable(folder: pathlib.Path | str) -> Iterator[None]:
    """Says of the errors in it that the run directory cannot be written.

    Raises:
        OSError: with that text.
    """
    try:
        yield
    except OSError as error:
        text = f"--workdir: must be writable, got {folder}: {error}"
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


def finished(workdir: str | None, epochs: int) -> dict[str, Any] | None:
    """The evaluation of a run that has trained for so many epochs, if this is one."""
    path = pathlib.Path(workdir or "", "eval.json")
    if workdir is None or not path.exists():
        return None
    found = read_json(path)
    return found if found.get("trained_epochs", 0) >= epochs else None


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes a JSON file as ``write_text`` does; NaN and infinity become null."""
    text = json.dumps(_without_nan(content), indent=2, allow_nan=False)
    write_text(path, text + "\n")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes under another name and renames, so that ``path`` is never half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: pathlib.Path) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: if it is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: must be JSON, but {error}") from error


def record_environment(folder: pathlib.Path, command: list[str]) -> None:
    """Adds this process to ``environment.json``: a list, one entry for each process."""
    path = folder / "environment.json"
    earlier = read_json(path) if path.exists() else []
    versions = {"vae_jax": __version__}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    entry = {
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": command,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "devices": [f"{d.platform}: {d.device_kind}" for d in jax.devices()],
        "versions": versions,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_uncommitted": _git("status", "--porcelain", "--untracked-files=no"),
    }
    write_json(path, [*earlier, entry])


def _git(*args: str) -> str | None:
    """What git says of the code that runs; None where there is no checkout."""
    root = pathlib.Path(__file__).parent
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", "-C", str(root), *args], capture_output=True, text=True, timeout=5
        )
        return done.stdout.strip() if done.returncode == 0 else None
    return None


def append_row(folder: pathlib.Path, row: dict[str, Any]) -> None:
    """Adds one line to ``metrics.jsonl``."""
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps(_without_nan(row), allow_nan=False) + "\n")


def _without_nan(tree: Any) -> Any:
    """JSON has no number for NaN or infinity: they become null."""
    if isinstance(tree, dict):
        return {key: _without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_nan(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def read_rows(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl``; a last line that was cut off is left out."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def drop_rows_after(folder: pathlib.Path, step: int) -> None:
    """Removes what was logged after the step from which a run goes on."""
    path = folder / "metrics.jsonl"
    rows = [row for row in read_rows(folder) if row.get("step", 0) <= step]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.replace(temporary, path)


@contextlib.contextmanager
def logs() -> Iterator[logging.handlers.MemoryHandler]:
    """Shows the program's log on the console, and collects it for ``log_to``."""
    console = logging.StreamHandler(sys.stdout)
    collected = logging.handlers.MemoryHandler(capacity=100_000)
    handlers = [console, collected]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    for handler in handlers:
        LOGGER.addHandler(handler)
    try:
        yield collected
    finally:
        for handler in handlers:
            LOGGER.removeHandler(handler)
        if collected.target:
            collected.flush()
            collected.target.close()


def log_to(collected: logging.handlers.MemoryHandler, folder: pathlib.Path) -> None:
    """Appends what was and will be shown to ``train.log``, line by line."""
    file = logging.FileHandler(folder / "train.log")
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    collected.setTarget(file)
    collected.flush()
    collected.flushLevel = logging.NOTSET
