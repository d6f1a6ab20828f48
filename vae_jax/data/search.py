"""A data set that may be in several places: asked in order, each step said."""

import logging
import os
import pathlib
import textwrap
from collections.abc import Callable, Sequence
from typing import TypeVar

from vae_jax.data.dataset import Unavailable

log = logging.getLogger("vae_jax")

Found = TypeVar("Found")


def first(
    name: str,
    places: Sequence[Callable[[], tuple[str, Found]]],
    ways_out: Sequence[str],
) -> tuple[str, Found]:
    """What the first place that has the data set says of itself, and its content.

    Args:
        name: of the data set.
        places: each returns its source and what it found there, or raises
            ``Unavailable``. Any other error is the search's.
        ways_out: what a user can do when nothing was found.

    Raises:
        FileNotFoundError: if no place has it, with what each one said.
    """
    failures = []
    for find in places:
        try:
            source, found = find()
        except Unavailable as error:
            log.info("%s: %s", name, error)
            failures.append(str(error))
            continue
        log.info("%s: read from %s", name, source)
        return source, found
    tried = textwrap.indent("\n".join(failures), "  ")
    ways = textwrap.indent("\n".join(ways_out), "  ")
    raise FileNotFoundError(
        f"{name}: got nothing from any place:\n{tried}\nWays out:\n{ways}"
    )


def place(text: str) -> pathlib.Path:
    """What the user names; ``~`` stays as it is where nothing says whose home it is."""
    return pathlib.Path(os.path.expanduser(text))


def given_folder(directory: str | None) -> pathlib.Path | None:
    """The folder that the user named: ``directory``, else ``$VAE_JAX_DATA_DIR``.

    Raises:
        FileNotFoundError: if ``directory`` is no folder.
    """
    if directory:
        folder = place(directory)
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"data.dir: must be an existing folder, got {directory!r}"
            )
        return folder
    name = os.environ.get("VAE_JAX_DATA_DIR")
    return place(name) if name else None


def places_below(folder: pathlib.Path | None, name: str) -> list[pathlib.Path]:
    """Where in the user's folder the files of a set may lie: in it, or in ``name/``.

    Raises:
        Unavailable: if the user named no folder.
    """
    if folder is None:
        raise Unavailable("files: neither data.dir nor VAE_JAX_DATA_DIR is set")
    return [folder, folder / name]
