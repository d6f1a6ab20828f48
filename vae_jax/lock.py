"""One process at a time in a run directory."""

import contextlib
import fcntl
import json
import logging
import os
import pathlib
import socket
from collections.abc import Iterator

from vae_jax import files

LOGGER = logging.getLogger("vae_jax")
NAME = ".lock"


@contextlib.contextmanager
def held(folder: pathlib.Path) -> Iterator[None]:
    """Keeps other processes out of a run directory, until this one leaves or dies.

    The lock is the operating system's, on a file that says who holds it. The system
    frees it when its holder dies in whatever way, so what is left is never in the way.

    Raises:
        ValueError: at once, with host and process, if another process holds it.
        NotWritten: if the file cannot be written.
    """
    path = folder / NAME
    file = _taken(path)
    try:
        yield
    finally:
        _give_up(file, path)


def check_free(folder: pathlib.Path) -> None:
    """Accepts a run directory in which no process is at work.

    Raises:
        ValueError: as ``held``.
    """
    path = folder / NAME
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # none there, or a folder that others will complain of
        return
    try:
        _lock(file, path, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _taken(path: pathlib.Path) -> int:
    """The open file, locked, with this process's name in it."""
    while True:
        with files.naming(path):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            _lock(file, path, fcntl.LOCK_EX)
        except ValueError:
            os.close(file)
            raise
        if _is_at(file, path):
            break
        os.close(file)  # its last holder has removed it in between
    if earlier := _holder(file):
        LOGGER.info("%s did not end in order; its lock is void", earlier)
    try:
        with files.naming(path):
            _sign(file)
    except OSError:
        _give_up(file, path)
        raise
    return file


def _give_up(file: int, path: pathlib.Path) -> None:
    if _is_at(file, path):  # and not another's, in a folder that took the place of ours
        with contextlib.suppress(OSError):
            path.unlink()  # while it is still locked: see _taken
    os.close(file)


def _lock(file: int, path: pathlib.Path, how: int) -> None:
    """Locks the file, or refuses. Without locks, whoever has signed counts as there."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _holder(file) or "another process"
        raise ValueError(
            f"--workdir: {path.parent} is in use by {holder}; wait for it, or stop it"
        ) from error
    except OSError as error:
        if holder := _holder(file):
            raise ValueError(
                f"--workdir: {path.parent} is in use by {holder}, or was when that "
                "died: its file system has no locks to tell. If it is not at work any "
                f"more, delete {path}"
            ) from error


def _is_at(file: int, path: pathlib.Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except OSError:
        return False


def _holder(file: int) -> str:
    """Who signed the lock; empty if nobody has, or not legibly."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        found = json.loads(os.pread(file, 1000, 0))
        return f"process {int(found['pid'])} on {found['host']!r}"
    return ""


def _sign(file: int) -> None:
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
    os.ftruncate(file, 0)
    os.pwrite(file, text.encode(), 0)
