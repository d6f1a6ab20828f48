"""Arrays in ``.npz`` files, read without trust and written without half-files."""

import contextlib
import io
import os
import pathlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax import files
from vae_jax.data import streams

MAX_BYTES = 1 << 30  # of one array; MNIST's largest has 47 MB
MOST_PACKED = 300  # times, beyond that size; deflate goes to 1032, dSprites has 116
SUFFIX = ".npy"
NOT_WHOLE = (OSError, EOFError, NotImplementedError, zlib.error, zipfile.BadZipFile)
# 3.0 is 2.0 with field names in UTF-8, and plain arrays have no fields.
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,
}


def names(path: pathlib.Path) -> tuple[str, ...]:
    """What the arrays in the file are called, in their order; none is read.

    Raises:
        ValueError: if the file cannot be read or is no npz file.
    """
    with _opened(path) as archive:
        members = archive.namelist()
    return tuple(n.removesuffix(SUFFIX) for n in members if n.endswith(SUFFIX))


def size(path: pathlib.Path, keys: Sequence[str]) -> int:
    """How many bytes the arrays named ``keys`` have; none is read.

    Raises:
        ValueError: if the file cannot be read, or has one of a size that is not true.
        KeyError: if it has none of that name.
    """
    total = 0
    with _opened(path) as archive:
        for info in (archive.getinfo(f"{key}{SUFFIX}") for key in keys):
            try:
                _check_size(archive, info, max_bytes=None)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
            total += info.file_size
    return total


def read(
    path: pathlib.Path, keys: Sequence[str], max_bytes: int | None = MAX_BYTES
) -> dict[str, np.ndarray]:
    """The arrays named ``keys``; read-only.

    Args:
        path: of the file.
        keys: of the arrays; no other is looked at.
        max_bytes: that one array may have, as it may be zipped; None: any number that
            its zipped bytes make plausible.

    Raises:
        ValueError: if the file cannot be read, lacks a key, is damaged or too large, or
            if an array holds Python objects.
    """
    with _opened(path) as archive:
        try:
            return {key: _member(archive, f"{key}{SUFFIX}", max_bytes) for key in keys}
        except NOT_WHOLE:
            raise
        except Exception as error:  # of any kind, from zipfile and numpy's headers
            raise ValueError(
                f"{path}: must hold the plain arrays {', '.join(keys)}, got {error}"
            ) from error


def write(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a new file beside ``path`` and puts it in its place in one step.

    Raises:
        OSError: if the folder cannot be made or written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # of any kind, when its directory is damaged
        raise ValueError(f"{path}: must be a whole npz file, got {error}") from error
    try:
        with archive:
            yield archive
    except NOT_WHOLE as error:
        raise ValueError(f"{path}: must be a whole npz file, got {error}") from error


def _member(archive: zipfile.ZipFile, name: str, max_bytes: int | None) -> np.ndarray:
    info = archive.getinfo(name)
    _check_size(archive, info, max_bytes)
    with archive.open(info) as stream:
        shape, fortran_order, dtype = header(stream, name)
        # np.load allocates what the header says; this takes only what is there.
        data = streams.read_up_to(stream, info.file_size - stream.tell())
    return data.view(dtype).reshape(shape, order="F" if fortran_order else "C")


def header(stream: io.BufferedIOBase, name: str) -> tuple[tuple[int, ...], bool, Any]:
    """Shape, whether it is in Fortran's order, and dtype of the array in an npy stream.

    Raises:
        ValueError: if there is none, or one of Python objects. ``name`` says of what.
    """
    version = np.lib.format.read_magic(stream)
    if version not in HEADERS:
        raise ValueError(f"format {version} in {name}")
    shape, fortran_order, dtype = HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError(f"Python objects in {name}")
    if min(shape, default=0) < 0:  # reshape would make something of it
        raise ValueError(f"the shape {shape} in {name}")
    return shape, fortran_order, dtype


def _check_size(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int | None
) -> None:
    """Accepts a member whose size may be true and is not too large.

    Raises:
        ValueError: otherwise, before any memory is asked for.
    """
    name, size, packed = info.filename, info.file_size, info.compress_size
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Others need as much memory as the file says before a byte is unpacked.
        raise ValueError(f"{name} compressed in another way than numpy's")
    if max_bytes is not None and size > max_bytes:
        raise ValueError(f"{size} bytes in {name}, more than {max_bytes}")
    held = os.fstat(archive.fp.fileno()).st_size
    stored = info.compress_type == zipfile.ZIP_STORED
    if packed > held or size > max(MAX_BYTES, packed * (1 if stored else MOST_PACKED)):
        raise ValueError(f"{size} bytes in {name}, of {min(packed, held)} in the file")
