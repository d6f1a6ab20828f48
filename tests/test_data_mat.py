"""MATLAB files as scipy writes them, one by hand, and what is none."""

import re
import struct

import numpy as np
import pytest
import scipy.io

from vae_jax.data import mat

BYTES = np.arange(15, dtype=np.uint8).reshape(3, 5)


def saved(path, compressed=False, **variables):
    scipy.io.savemat(path, variables, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("array", [BYTES, BYTES[:1, :2], BYTES[:0]])
def test_a_matrix_of_bytes_is_read_among_others(tmp_path, compressed, array):
    others = {"first": np.eye(2), "word": "text", "longer_name": np.ones(3)}
    path = saved(tmp_path / "a.mat", compressed, **others, ff=array)
    found = mat.read(path, "ff", 10_000)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array)


def element(kind, content):
    padding = bytes(-len(content) % 8)
    return struct.pack(">II", kind, len(content)) + content + padding


def test_a_file_of_a_machine_that_writes_the_largest_byte_first_is_read(tmp_path):
    flags, shape = struct.pack(">II", 9, 0), struct.pack(">ii", 3, 5)
    parts = element(6, flags), element(5, shape), element(1, b"ff")
    whole = element(14, b"".join(parts) + element(2, BYTES.tobytes(order="F")))
    (tmp_path / "a.mat").write_bytes(bytes(126) + b"MI" + whole)
    np.testing.assert_array_equal(mat.read(tmp_path / "a.mat", "ff", 1000), BYTES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be a whole MATLAB file: it has no header of MATLAB 5"),
        (b"<!DOCTYPE html>" * 20, "it has no header of MATLAB 5"),
        (lambda p: saved(p, gg=BYTES), "must hold the variable ff, and does not"),
        (lambda p: saved(p, ff=BYTES * 1.5), "ff must be uint8, got float64"),
        (lambda p: saved(p, ff=BYTES * 1j), "ff must be uint8, got complex float64"),
        (lambda p: saved(p, ff="text"), "ff must be uint8, got class 4"),
        (
            lambda p: saved(p, ff=np.zeros((99, 99), np.uint8)),
            "at most 2000 bytes, and",
        ),
        (
            lambda p: saved(p, compressed=True, ff=np.zeros((99, 99), np.uint8)),
            "must be a whole MATLAB file: a variable of more than 2000 bytes",
        ),
        (bytes(126) + b"IM" + bytes(7), "its end within an element"),
        (bytes(126) + b"IM" + bytes(8), "an element of kind 0 where a variable should"),
        (bytes(126) + b"IM" + struct.pack("<II", 14, 9), "0 of 9 bytes of an element"),
        (
            bytes(126) + b"IM" + struct.pack("<II", 14, 8) + bytes(8),
            "a variable with flags of kind 0, not 6",
        ),
        (bytes(126) + b"IM" + struct.pack("<II", 15, 4) + b"\xff" * 4, "Error -3"),
    ],
)
def test_what_is_not_such_a_file_is_refused_by_its_name(tmp_path, content, message):
    path = tmp_path / "a.mat"
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        mat.read(path, "ff", 2000)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"must be a whole MATLAB file: .*directory"):
        mat.read(tmp_path, "ff", 2000)
