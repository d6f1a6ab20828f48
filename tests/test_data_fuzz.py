"""Every reader of files against files that are damaged, or lie about their sizes.

What a reader does with any bytes at all: it returns, or raises an error of one of four
kinds that says which file it is. The examples are always the same ones; for others,
and more of them: ``VAE_JAX_FUZZ=20000 pytest tests/test_data_fuzz.py``.
"""

import gzip
import io
import os
import pickle
import struct

import numpy as np
import pytest
import scipy.io
import torch_files
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_data_idx import idx_bytes

from vae_jax.data import (
    decoded,
    decoding,
    freyfaces,
    idx,
    mat,
    own_npz,
    tfrecord,
    wheel,
)
from vae_jax.extractors import inception_params, torch_file

FORESEEN = (ValueError, TypeError, OSError)  # FileNotFoundError is an OSError
EXAMPLES = int(os.environ.get("VAE_JAX_FUZZ", "40"))
IMAGES = np.arange(3 * 5 * 4, dtype=np.uint8).reshape(3, 5, 4)
NUMBERS = np.array([0, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, 1 << 63], np.uint64)


def made(write):
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def image(form, mode, **options):
    noise = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
    picture = Image.fromarray(noise).convert(mode)
    return made(lambda stream: picture.save(stream, form, **options))


def turned():
    """A photograph that says that it lies on its side."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "description"
    return image("JPEG", "RGB", exif=exif)


def records(*contents):
    pieces = [struct.pack("<Q4x", len(c)) + c + bytes(4) for c in contents]
    return b"".join(pieces)


def read_decoded(path):
    decoded.once("test", path.stem, lambda: {"images": IMAGES}, {})


def read_image(path):
    for size, channels in ((None, 0), ((4, 4), 1)):
        try:
            decoding.read(path, size, channels)
        except ValueError as error:  # whose file the caller names
            raise ValueError(f"{path}: {error}") from error


def unpickle(path):
    with path.open("rb") as file:
        try:
            wheel.unpickle(file)
        except ValueError as error:  # the wheel's sha256 was checked before
            raise ValueError(f"{path}: {error}") from error


PARTS = {"a": torch_files.Part("0", np.arange(6, dtype=np.float32).reshape(2, 3))}
OWN = {"images": IMAGES, "labels": np.arange(3), "train": np.arange(2)}
ARRAYS = ((IMAGES, np.arange(3)),)
MATRIX = {"gg": np.eye(2), "ff": IMAGES[0]}
# By the name of the file: what reads it, and whole files.
READERS = {
    "a.idx": (idx.read, [idx_bytes(IMAGES), gzip.compress(idx_bytes(IMAGES))]),
    "a.npz": (
        own_npz.load,
        [
            made(lambda s: np.savez(s, **OWN)),
            made(lambda s: np.savez_compressed(s, train=IMAGES / 255, test=IMAGES / 2)),
        ],
    ),
    "cache.npz": (read_decoded, [made(lambda s: np.savez(s, images=IMAGES))]),
    "inception.npz": (
        inception_params.from_npz,
        [made(lambda s: np.savez(s, **{inception_params.DIGEST: IMAGES}))],
    ),
    "a.mat": (
        lambda path: mat.read(path, "ff", 1000),
        [
            made(lambda s: scipy.io.savemat(s, MATRIX)),
            made(lambda s: scipy.io.savemat(s, MATRIX, do_compression=True)),
        ],
    ),
    "faces.mat": (
        lambda path: freyfaces._read(path),
        [made(lambda s: scipy.io.savemat(s, MATRIX))],
    ),
    "a.png": (
        read_image,
        [image("PNG", mode) for mode in ("L", "RGB", "RGBA", "P", "1", "LA")],
    ),
    "a.jpg": (
        read_image,
        [turned(), image("JPEG", "L"), image("JPEG", "CMYK", progressive=True)],
    ),
    "a.tfrecord": (
        lambda path: list(tfrecord.records(path)),
        [records(b"abc", b"", b"hello")],
    ),
    "a.pth": (
        torch_file.read,
        [torch_files.as_zip(PARTS), torch_files.as_sequence(PARTS)],
    ),
    "a.pkl": (unpickle, [pickle.dumps(ARRAYS, 2), pickle.dumps(ARRAYS, 4)]),
}


@st.composite
def damaged(draw, wholes):
    """Files from which bytes were cut, in which some were changed, or with more."""
    content = bytearray(draw(st.sampled_from(wholes)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        end = draw(st.integers(at, len(content)))
        kind = draw(st.sampled_from("cut flip number more drop repeat".split()))
        if kind == "cut":
            del content[at:]
        elif kind == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":  # a size, perhaps
            number = draw(st.sampled_from(NUMBERS)).astype(draw(st.sampled_from(TYPES)))
            content[at : at + number.itemsize] = number.tobytes()
        elif kind == "more":
            content[at:at] = draw(st.binary(max_size=40))
        elif kind == "drop":
            del content[at:end]
        elif kind == "repeat":
            content[at:at] = content[at:end]
    return bytes(content)


TYPES = ("<u4", ">u4", "<u8", ">u8")


@pytest.mark.parametrize("name", READERS)
def test_any_bytes_are_read_or_refused_by_the_name_of_their_file(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    read, wholes = READERS[name]
    path = tmp_path / "vae_jax" / "test" / name  # where the cache would have it
    path.parent.mkdir(parents=True)
    refusals = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=EXAMPLES == 40,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(wholes) | st.binary(max_size=200))
    def check(content):
        path.write_bytes(content)
        try:
            read(path)
        except FORESEEN as error:
            refusals.append(str(error))
            assert str(path) in refusals[-1]

    check()
    assert refusals or name == "cache.npz"  # which is made again
