"""IDX files, whole and broken."""

import gzip
import hashlib
import re
import struct
import subprocess
import sys

import numpy as np
import pytest

from vae_jax.data import idx

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def idx_bytes(array):
    header = struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return header + array.tobytes()


def zipped(content):
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize("array", [ARRAY, np.array([7, 0, 9], np.uint8)])
@pytest.mark.parametrize("pack", [bytes, zipped], ids=["raw", "gzip"])
def test_an_idx_file_is_read_as_it_was_written(tmp_path, array, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(idx_bytes(array)))
    found = idx.read(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("array", [ARRAY, ARRAY.T], ids=["C order", "F order"])
def test_the_digest_is_that_of_the_file(array):
    assert idx.digest(array) == hashlib.sha256(idx_bytes(array)).hexdigest()


WHOLE = idx_bytes(ARRAY)
FLIPPED = bytearray(zipped(WHOLE))
FLIPPED[-8] ^= 1  # the checksum
MANGLED = zipped(WHOLE)[:10] + b"\xff" * 40  # no such deflate block


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must start with an IDX header of unsigned bytes in 1 to 4 dimensions, "),
        (b"\0\0\x0d\x03" + WHOLE[4:], "dimensions, got 00 00 0d 03"),  # floats
        (b"\0\0\x08\x00", "dimensions, got 00 00 08 00"),
        (b"\0\0\x08\x05" + bytes(25), "dimensions, got 00 00 08 05"),
        (b"<!DOCTYPE html>", "dimensions, got 3c 21 44 4f"),
        (WHOLE[:9], "must be a whole IDX file, got a cut-off header"),
        (WHOLE[:-1], "must hold 24 bytes after its header (2, 3, 4), got only 23"),
        (WHOLE + b"x", "must hold 24 bytes after its header (2, 3, 4), got more"),
        (zipped(WHOLE)[:-12], "must be a whole IDX file, got Compressed file"),
        (bytes(FLIPPED), "must be a whole IDX file, got CRC check failed"),
        (MANGLED, "must be a whole IDX file, got Error -3 while decompressing"),
        (b"\x1f\x8bnonsense", "must be a whole IDX file, got Unknown compression"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        idx.read(path)
    assert str(caught.value).startswith(f"{path}: must ")
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (idx.MAX_BYTES, "after its header (1073741824,), got only 100"),
        (idx.MAX_BYTES + 1, "at most 1073741824 bytes, got a header of (1073741825,)"),
    ],
)
def test_a_header_that_promises_much_takes_no_memory(tmp_path, count, message):
    path = tmp_path / "file"
    path.write_bytes(struct.pack(">II", 0x0801, count) + bytes(100))
    # In a process of its own, as the most that this one took is long past.
    code = (
        "import pathlib, resource, sys; from vae_jax.data import idx\n"
        "most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = most()\n"
        "try: idx.read(pathlib.Path(sys.argv[1]))\n"
        "except ValueError as error: print(error)\n"
        "print(most() - before)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said, grown = done.stdout.splitlines()
    assert message in said
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(grown) * unit < idx.MAX_BYTES / 20  # not the gibibyte that was promised


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"must be a whole IDX file, got .*directory"):
        idx.read(tmp_path)
