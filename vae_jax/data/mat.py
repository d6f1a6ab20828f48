"""Matrices of bytes in MATLAB files, read without trust.

Not by scipy: some damaged files end its process with a segmentation fault, and it
inflates what is compressed without a limit.

Format: MathWorks, "MAT-File Format", level 5, which MATLAB 5 to 7.2 write.
"""

import math
import pathlib
import zlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

HEADER = 128  # bytes of text, and at its end the order of all other bytes
ORDERS = {b"IM": "<", b"MI": ">"}
BYTES, INT32, UINT32, NAME, MATRIX, COMPRESSED = 2, 5, 6, 1, 14, 15  # kinds of elements
CLASSES = {6: "float64", 7: "float32", 8: "int8", 9: "uint8"}  # of matrices
COMPLEX = 0x0800

Element = tuple[int, memoryview]  # kind and content


def read(path: pathlib.Path, name: str, max_bytes: int) -> UInt8[np.ndarray, "..."]:
    """The matrix called ``name``; read-only.

    Args:
        path: of the file.
        name: of the variable.
        max_bytes: that the file may have, and each variable when inflated.

    Raises:
        ValueError: if the file cannot be read, is damaged or too large, or if it has no
            such variable, or one of another type.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise ValueError(f"{path}: must be a whole MATLAB file: {error}") from error
    if len(content) > max_bytes:
        raise ValueError(f"{path}: must have at most {max_bytes} bytes, and has more")
    try:
        found = _find(content, name, max_bytes)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"{path}: must be a whole MATLAB file: {error}") from error
    if found is None:
        raise ValueError(f"{path}: must hold the variable {name}, and does not")
    kind, array = found
    if array is None:
        raise ValueError(f"{path}: {name} must be uint8, got {kind}")
    return array


def _find(
    content: bytes, name: str, max_bytes: int
) -> tuple[str, np.ndarray | None] | None:
    """The type of the variable, and its matrix if that is one of bytes."""
    order = ORDERS.get(content[HEADER - 2 : HEADER])
    if order is None:
        raise ValueError("it has no header of MATLAB 5")
    for kind, data in _elements(memoryview(content)[HEADER:], order):
        if kind == COMPRESSED:
            ((kind, data),) = _elements(_inflated(data, max_bytes), order)
        if kind != MATRIX:
            raise ValueError(f"an element of kind {kind} where a variable should be")
        found = _matrix(data, order, name)
        if found is not None:
            return found
    return None


def _inflated(data: memoryview, max_bytes: int) -> memoryview:
    stream = zlib.decompressobj()
    content = stream.decompress(data, max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"a variable of more than {max_bytes} bytes")
    if not stream.eof:
        raise ValueError("a compressed variable that is cut off")
    return memoryview(content)


def _matrix(
    data: memoryview, order: str, wanted: str
) -> tuple[str, np.ndarray | None] | None:
    parts = _elements(data, order)
    flags = _next(parts, UINT32, "flags").cast("B")
    if len(flags) != 8:
        raise ValueError("a variable without flags")
    word = int(np.frombuffer(flags, f"{order}u4")[0])
    sides = _next(parts, INT32, "size")
    if len(sides) % 4:
        raise ValueError("a variable with a broken size")
    shape = tuple(map(int, np.frombuffer(sides, f"{order}i4")))
    if bytes(_next(parts, NAME, "name")).decode("latin-1") != wanted:
        return None
    number = word & 0xFF
    kind = CLASSES.get(number, f"class {number}")
    if kind != "uint8" or word & COMPLEX:
        return ("complex " if word & COMPLEX else "") + kind, None
    numbers = np.frombuffer(_next(parts, BYTES, "numbers"), np.uint8)
    if min(shape, default=0) < 0 or math.prod(shape) != len(numbers):
        raise ValueError(f"{len(numbers)} numbers in {wanted} of shape {shape}")
    return kind, numbers.reshape(shape, order="F")


def _next(parts: Iterator[Element], wanted: int, what: str) -> memoryview:
    kind, data = next(parts, (None, memoryview(b"")))
    if kind != wanted:
        raise ValueError(f"a variable with {what} of kind {kind}, not {wanted}")
    return data


def _elements(data: memoryview, order: str) -> Iterator[Element]:
    """What is stored one after the other, each behind its kind and size."""
    while data:
        if len(data) < 8:
            raise ValueError("its end within an element")
        kind, size = map(int, np.frombuffer(data[:8], f"{order}u4"))
        start = 8
        if kind >> 16:  # up to four bytes stand beside their kind and size
            kind, size, start = kind & 0xFFFF, kind >> 16, 4
        padding = 0 if kind == COMPRESSED else -size % 8 if start == 8 else 4 - size
        if padding < 0 or size > len(data) - start:
            raise ValueError(f"{len(data) - start} of {size} bytes of an element")
        yield kind, data[start : start + size]
        data = data[start + size + padding :]
