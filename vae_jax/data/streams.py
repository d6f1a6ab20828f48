"""Bytes from a file straight into the array that keeps them."""

import io

import numpy as np
from jaxtyping import UInt8

CHUNK = 1 << 20
# Where XLA's CPU backend can use an array in place, without a copy of its own.
ALIGNMENT = 64


def aligned(count: int) -> UInt8[np.ndarray, " N"]:
    """``count`` bytes of new memory, of any values, which XLA can use in place."""
    buffer = np.empty(count + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + count]


def read_up_to(stream: io.BufferedIOBase, count: int) -> UInt8[np.ndarray, " N"]:
    """The next ``count`` bytes, or those that are left; held once, read-only.

    Memory that a false ``count`` promises is asked for and never touched, so it costs
    address space alone.
    """
    buffer = aligned(count)
    view, done = memoryview(buffer), 0
    while done < count and (got := stream.readinto(view[done : done + CHUNK])):
        done += got
    found = buffer[:done]
    found.flags.writeable = False
    return found
