"""Files that are whole or not there, and errors of the disk that name them."""

import contextlib
import itertools
import json
import math
import os
import pathlib
import re
import secrets
import shutil
import time
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
    # Hosts that share a folder may have processes of one number.
    number = f"{os.getpid()}{secrets.randbelow(10**9):09}"
    temporary = path.with_name(f".{path.name}.{number}")
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


def remove_folder(path: pathlib.Path) -> None:
    """Removes a folder to which threads of a failed save may still be writing.

    They cannot be waited for, and make it anew once it is gone: so it is removed when
    it was not there for a second. Given up after ten seconds.
    """
    times_gone = 0
    for _ in range(200):
        times_gone = 0 if path.exists() else times_gone + 1
        if times_gone == 20:
            return
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(0.05)


def free_name(path: pathlib.Path) -> pathlib.Path:
    """The path itself, or with a number at the end of its stem if it is taken."""
    names = (f"{path.stem}_{n}{path.suffix}" for n in itertools.count(1))
    paths = itertools.chain([path], map(path.with_name, names))
    return next(free for free in paths if not os.path.lexists(free))


def name_aside(path: pathlib.Path) -> pathlib.Path:
    """A free name beside a damaged file, for it or a copy of it."""
    return free_name(path.with_stem(f"{path.stem}_damaged"))


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes under another name and renames, so that ``path`` is never half a file."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes a JSON file as ``write_text`` does; NaN and infinity become null."""
    write_text(path, as_json(content))


def read_json(path: pathlib.Path, kind: type | None = None) -> Any:
    """The content of a JSON file.

    Args:
        path: of the file.
        kind: what it must be: ``dict`` or ``list``; None: anything.

    Raises:
        ValueError: if it is not JSON, or something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: must be JSON, but {error}") from error
    if kind is not None and not isinstance(content, kind):
        wanted = {dict: "object", list: "array"}[kind]
        raise ValueError(f"{path}: must be a JSON {wanted}, got {content!r:.40}")
    return content


def object_of(line: bytes) -> dict[str, Any] | None:
    """The JSON object that a line holds, or None if it holds another thing."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def as_json(content: Any, indent: int | None = 2) -> str:
    """JSON text, in which NaN and infinity, for which it has no number, are null."""
    return json.dumps(_without_nan(content), indent=indent, allow_nan=False) + "\n"


def _without_nan(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_nan(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
