"""Stand-in: arrays that take long to make, made once and then cached."""

import hashlib
import logging
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from vae_jax.data import cache
from vae_jax.data.dataset import Unavailable

log = logging.getLogger("vae_jax")


def once(
    kind: str, fingerprint: str, decode: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The arrays of the cache's file, else those of ``decode``, which go there."""
    name = f"{kind}/{fingerprint}.npz"
    try:
        _, arrays = cache.take(name, _read)
    except Unavailable:
        arrays = decode()
        cache.keep(name, arrays, kind)
    else:
        log.info("%s: read from the cache, %s", kind, cache.path(name))
    return arrays


def fingerprint(paths: Iterable[pathlib.Path], *extra: Any) -> str:
    """sha256, in hex, of what tells that files and options are still the same."""
    content = hashlib.sha256(repr(extra).encode())
    for path in paths:
        stat = path.stat()
        entry = os.path.abspath(path), stat.st_size, stat.st_mtime_ns
        content.update(repr(entry).encode())
    return content.hexdigest()


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: must be a whole npz file, got {error}") from error
