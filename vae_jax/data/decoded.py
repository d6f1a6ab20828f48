"""Arrays that take long to make from the user's files: made once, then cached."""

import contextlib
import hashlib
import logging
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from vae_jax.data import cache, npz

log = logging.getLogger("vae_jax")

APART = "_"
VERSION = 1  # to be raised when the same files come to be decoded to other arrays


def once(
    kind: str,
    fingerprint: str,
    decode: Callable[[], dict[str, np.ndarray]],
    lengths: Mapping[str, int],
) -> dict[str, np.ndarray]:
    """The arrays of the cache's file, else those of ``decode``, which go there.

    Args:
        kind: of source: a folder of the cache.
        fingerprint: of all that the arrays depend on; see the function. What the cache
            has of the same place as it was before is removed.
        decode: called at most once, and not at all if the file is there and whole.
        lengths: of arrays that must be in it.
    """
    name = f"{kind}/{fingerprint}.npz"
    path = cache.path(name)
    if os.path.isfile(path):
        try:
            arrays = npz.read(path, npz.names(path), max_bytes=None)
            _check_lengths(path, arrays, lengths)
        except ValueError as error:
            log.warning("%s: cache: damaged, to be replaced: %s", kind, error)
        else:
            log.info("%s: read from the cache, %s", kind, path)
            return arrays
    arrays = decode()
    place, _, _ = fingerprint.partition(APART)
    for before in path.parent.glob(f"{place}{APART}*.npz"):
        with contextlib.suppress(OSError):
            before.unlink()
    cache.keep(name, arrays, kind)
    return arrays


def _check_lengths(
    path: pathlib.Path, arrays: Mapping[str, np.ndarray], lengths: Mapping[str, int]
) -> None:
    for key, length in lengths.items():
        shape = arrays[key].shape if key in arrays else None
        if not shape or shape[0] != length:
            raise ValueError(f"{path}: must hold {length} {key}, got {shape or 'none'}")


def fingerprint(place: str, paths: Iterable[pathlib.Path], *extra: Any) -> str:
    """sha256, in hex, of what tells that files and options are still the same.

    In front of it is one of the place and the options alone.

    Of a file that is where it is, its size and the time of its last change. The whole
    path counts: the files of MNIST and of Fashion-MNIST have the same names and sizes,
    and archives give their files times that say nothing.

    Args:
        place: of all files together, whichever they are.
        paths: of the files, in the order that they are used in.
        *extra: options that the arrays depend on: plain values.

    Raises:
        OSError: if a file is not there.
    """
    content = hashlib.sha256(repr((VERSION, extra)).encode())
    for path in paths:
        stat = path.stat()
        entry = os.path.abspath(path), stat.st_size, stat.st_mtime_ns
        content.update(repr(entry).encode())
    begin = hashlib.sha256(repr((os.path.abspath(place), extra)).encode())
    return f"{begin.hexdigest()[:16]}{APART}{content.hexdigest()}"
