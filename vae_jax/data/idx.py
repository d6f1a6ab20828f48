"""IDX files, the format of MNIST and its relatives, raw or gzip.

Format: http://yann.lecun.com/exdb/mnist/, "the IDX file format".
"""

import gzip
import hashlib
import io
import math
import pathlib
import struct
import zlib

import numpy as np
from jaxtyping import UInt8

from vae_jax.data import streams

MAGIC = b"\x00\x00\x08"  # two zeros, then the type code of unsigned bytes
GZIP_MAGIC = b"\x1f\x8b"
MAX_BYTES = 1 << 30  # MNIST's largest file holds 47 MB, EMNIST's 550 MB


def read(path: pathlib.Path) -> UInt8[np.ndarray, "..."]:
    """The array in an IDX file of unsigned bytes; read-only.

    Raises:
        ValueError: if the file cannot be read, or is not exactly what its header says.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == GZIP_MAGIC
            file.seek(0)
            return _parse(gzip.open(file) if zipped else file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: must be a whole IDX file, got {error}") from error


def digest(array: UInt8[np.ndarray, "..."]) -> str:
    """sha256 of the decompressed IDX file that holds ``array``."""
    header = MAGIC + struct.pack(f">B{array.ndim}I", array.ndim, *array.shape)
    content = hashlib.sha256(header)
    content.update(np.ascontiguousarray(array))
    return content.hexdigest()


def _parse(stream: io.BufferedIOBase, path: pathlib.Path) -> np.ndarray:
    head = stream.read(4)
    if len(head) < 4 or head[:3] != MAGIC or not 1 <= head[3] <= 4:
        raise ValueError(
            f"{path}: must start with an IDX header of unsigned bytes in 1 to 4 "
            f"dimensions, got {head.hex(' ') or 'an empty file'}"
        )
    sizes = stream.read(4 * head[3])
    if len(sizes) < 4 * head[3]:
        raise ValueError(f"{path}: must be a whole IDX file, got a cut-off header")
    shape = struct.unpack(f">{head[3]}I", sizes)
    count = math.prod(shape)
    if count > MAX_BYTES:
        raise ValueError(
            f"{path}: must hold at most {MAX_BYTES} bytes, got a header of {shape}"
        )
    data = streams.read_up_to(stream, count + 1)
    if len(data) != count:
        got = f"only {len(data)}" if len(data) < count else "more"
        raise ValueError(
            f"{path}: must hold {count} bytes after its header {shape}, got {got}"
        )
    return data.reshape(shape)
