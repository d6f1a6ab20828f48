"""What the program says: on the console, and in the run directory once there is one."""

import contextlib
import logging
import logging.handlers
import pathlib
import sys
from collections.abc import Iterator

from vae_jax import files

LOGGER = logging.getLogger("vae_jax")


@contextlib.contextmanager
def shown() -> Iterator[logging.handlers.MemoryHandler]:
    """Shows the program's log on the console, and collects it for ``write_to``."""
    console = _Console(sys.stdout)
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


def write_to(collected: logging.handlers.MemoryHandler, folder: pathlib.Path) -> None:
    """Appends what was and will be shown to ``train.log``, line by line.

    Raises:
        NotWritten: if there can be no such file.
    """
    with files.naming(folder / "train.log"):
        file = _LogFile(folder / "train.log", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    collected.setTarget(file)
    collected.flush()
    collected.flushLevel = logging.NOTSET


class _Dispensable(logging.Handler):
    """What cannot be written is left out: files that matter more say why."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _Console(_Dispensable, logging.StreamHandler):
    pass


class _LogFile(_Dispensable, logging.FileHandler):
    def close(self) -> None:
        with contextlib.suppress(OSError):  # what is left in its buffer
            super().close()
