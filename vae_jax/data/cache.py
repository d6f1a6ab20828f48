"""The one folder that the package writes data to."""

import contextlib
import logging
import os
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from vae_jax.data import npz
from vae_jax.data.dataset import Unavailable

log = logging.getLogger("vae_jax")

SOURCE = "cache"
DAY = 24 * 60 * 60  # seconds
NOWHERE = os.devnull  # as a folder: nothing is there, and nothing can be put there
Content = TypeVar("Content")


def path(name: str) -> pathlib.Path:
    """Where the file ``name`` of the cache is, or would be."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path is to be ignored.
    if not os.path.isabs(root):
        root = os.path.expanduser("~/.cache")
    if not os.path.isabs(root):  # a user without a home, as containers may have
        root = NOWHERE
    return pathlib.Path(root) / "vae_jax" / name


def take(name: str, read: Callable[[pathlib.Path], Content]) -> tuple[str, Content]:
    """``SOURCE``, and what ``read`` makes of the file ``name``.

    Raises:
        Unavailable: if it is not there, or ``read`` refuses it with a ValueError.
    """
    file = path(name)
    if not os.path.isfile(file):
        raise Unavailable(f"cache: no {file}")
    try:
        return SOURCE, read(file)
    except ValueError as error:
        raise Unavailable(f"cache: damaged, to be replaced: {error}") from error


def _remove_left(folder: pathlib.Path) -> None:
    """Removes what processes that were killed left of files, if it is a day old."""
    for left in folder.glob(".*.npz.*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > DAY:
                left.unlink()


def keep(name: str, arrays: Mapping[str, np.ndarray], whose: str) -> None:
    """Writes the npz file ``name``. Where that fails, the log says so, and no more."""
    file = path(name)
    try:
        _remove_left(file.parent)
        npz.write(file, arrays)
    except OSError as error:
        log.warning("%s: not cached: %s", whose, error)
    else:
        log.info("%s: cached in %s", whose, file)
