"""The one folder that the package writes data to."""

import logging
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from vae_jax.data import npz

log = logging.getLogger("vae_jax")


def path(name: str) -> pathlib.Path:
    """Where the file ``name`` of the cache is, or would be."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path is to be ignored.
    if not os.path.isabs(root):
        root = os.path.expanduser("~/.cache")
    return pathlib.Path(root) / "vae_jax" / name


def keep(what: str, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the npz file ``name`` of the cache; if it cannot, that is a warning.

    Args:
        what: the arrays are, for the log.
        name: as ``path`` takes it.
        arrays: what the file shall hold.
    """
    try:
        npz.write(path(name), arrays)
    except OSError as error:
        log.warning("%s: not cached: %s", what, error)
    else:
        log.info("%s: cached in %s", what, path(name))
