"""Decoded images, kept in the cache: decoding takes seconds, reading them does not."""

import logging
from collections.abc import Callable

import numpy as np

from vae_jax.data import cache
from vae_jax.data.dataset import Unavailable

log = logging.getLogger("vae_jax")


def once(
    kind: str, fingerprint: str, decode: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """What ``decode`` returned when this was first asked for; else what it returns.

    Args:
        kind: of what is decoded; part of the file's name.
        fingerprint: of everything that the result depends on; part of the file's name.
        decode: makes the arrays.
    """
    name = f"decoded/{kind}-{fingerprint}.npz"
    try:
        _, arrays = cache.take(name, _read)
    except Unavailable as error:
        log.info("%s: %s", kind, error)
    else:
        log.info("%s: decoded before, read from the cache", kind)
        return arrays
    arrays = decode()
    cache.keep(name, arrays, kind)
    return arrays


def _read(path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except Exception as error:  # a stand-in
        raise ValueError(f"{path}: must be a whole npz file, got {error}") from error
