"""Arrays in ``.npz`` files, read without trust and written without half-files."""

import os
import pathlib
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from vae_jax.data import streams

MAX_BYTES = 1 << 30  # of one array; MNIST's largest has 47 MB


def read(path: pathlib.Path, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays named ``keys``; read-only.

    Raises:
        ValueError: if the file cannot be read, lacks a key or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {key: _member(archive, f"{key}.npy") for key in keys}
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: must be a whole npz file, got {error}") from error
    except (KeyError, ValueError, RuntimeError) as error:
        # RuntimeError is what zipfile says of passwords and unknown compressions.
        raise ValueError(
            f"{path}: must hold the plain arrays {', '.join(keys)}, got {error}"
        ) from error


def names(path: pathlib.Path) -> list[str]:
    """The names of the arrays, in the file's order.

    Raises:
        ValueError: if the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [n.removesuffix(".npy") for n in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: must be a whole npz file, got {error}") from error


def write(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a new file beside ``path`` and puts it in its place in one step.

    Raises:
        OSError: if the folder cannot be made or written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    size = archive.getinfo(name).file_size
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes in {name}, more than {MAX_BYTES}")
    with archive.open(name) as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"format {version} in {name}")
        header = np.lib.format.read_array_header_1_0(stream)
        shape, fortran_order, dtype = header
        if dtype.hasobject:
            raise ValueError(f"Python objects in {name}")
        # np.load allocates what the header says; this takes only what is there.
        data = streams.read_up_to(stream, size)
    return data.view(dtype).reshape(shape, order="F" if fortran_order else "C")
