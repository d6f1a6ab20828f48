"""Files that are whole or not there, and errors of the disk that name them."""

import contextlib
import itertools
import json
import math
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any


class NotWritten(OSError):
    """What could not be written, and why: the system names no file on a full disk."""


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path, which becomes ``path`` when the block ends well.

    Raises:
        NotWritten: if that fails, naming ``path``; what was there before is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with naming(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        # Where nothing can be written, nothing can be removed either.
        with contextlib.suppress(OSError):
            temporary.unlink()


def clear(folder: pathlib.Path) -> None:
    """Removes what killed processes left of ``replacing`` in a run directory.

    Only for the one process that may write there. Samples are left to others.
    """
    for path in (*folder.glob(".*"), *(folder / "plots").rglob(".*")):
        if re.fullmatch(r"\..+\.[0-9]+", path.name) and path.is_file():
            with contextlib.suppress(OSError):
                path.unlink()


@contextlib.contextmanager
def naming(path: pathlib.Path) -> Iterator[None]:
    """Turns an ``OSError`` of writing into ``NotWritten``, unless it is one."""
    try:
        yield
    except NotWritten:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise NotWritten(f"{path}: cannot be written: {reason}") from error


def make_folder(path: pathlib.Path) -> None:
    """Makes a folder, if it is not there, in one that is.

    Raises:
        NotWritten: if it cannot be made.
    """
    with naming(path):
        path.mkdir(exist_ok=True)


def free_name(path: pathlib.Path) -> pathlib.Path:
    """The path itself, or with a number at the end of its stem if it is taken."""
    names = (f"{path.stem}_{n}{path.suffix}" for n in itertools.count(1))
    paths = itertools.chain([path], map(path.with_name, names))
    return next(free for free in paths if not os.path.lexists(free))


def name_aside(path: pathlib.Path) -> pathlib.Path:
    """A free name beside a damaged file, for it or a copy of it."""
    return free_name(path.with_stem(f"{path.stem}_damaged"))


def as_json(content: Any, indent: int | None = 2) -> str:
    """JSON text, in which NaN and infinity, for which it has no number, are null."""
    return json.dumps(_without_nan(content), indent=indent, allow_nan=False) + "\n"


def _without_nan(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_nan(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
