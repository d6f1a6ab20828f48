"""Files that lie about their sizes, and others that are not what a loader expects."""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
import torch_files
from conftest import anything
from PIL import Image
from test_data_idx import idx_bytes

from vae_jax.data import (
    dataset,
    folder,
    loading,
    npz,
    own_idx,
    own_npz,
    shapes,
    tfds_records,
)

IMAGES = np.arange(3 * 5 * 4, dtype=np.uint8).reshape(3, 5, 4)


def made(write):
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def huge_png(width, height):
    """As whole as it must be to be opened."""
    header = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(100)))
    pieces = [
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


def black(side):
    return made(lambda s: Image.new("L", (side, side)).save(s, "PNG"))


def member(shape, size=None, method=zipfile.ZIP_DEFLATED):
    """A zip file of an array of 100 bytes; what it says of them may be a lie."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    head = made(lambda s: np.lib.format.write_array_header_1_0(s, header))

    def write(stream):
        with zipfile.ZipFile(stream, "w", method) as archive:
            archive.writestr("images.npy", head + bytes(100))
            archive.filelist[0].file_size = size or archive.filelist[0].file_size

    return made(write)


def compressed_matrix(size):
    content = zlib.compress(struct.pack("<II", 14, size) + bytes(size), 1)
    return bytes(126) + b"IM" + struct.pack("<II", 15, len(content)) + content


# What reads the file, the file, and what is said of it.
LIES = {
    "idx of 2^31 images": (
        "idx.read(path)",
        lambda: struct.pack(">4I", 0x0803, 1 << 31, 28, 28) + bytes(100),
        "must hold at most 1073741824 bytes",
    ),
    "gzip of more than its header says": (
        "idx.read(path)",
        lambda: gzip.compress(struct.pack(">II", 0x0801, 9) + bytes(1 << 27), 1),
        "must hold 9 bytes after its header (9,), got more",
    ),
    "npy of terabytes": (
        "own_npz.load(path)",
        lambda: member((1 << 42,)),
        "cannot reshape array of size 100",
    ),
    "npz of terabytes": (
        "own_npz.load(path)",
        lambda: member((100,), 1 << 42),
        "4398046511104 bytes in images.npy, of ",
    ),
    "npz of terabytes that are not compressed": (
        "own_npz.load(path)",
        lambda: member((100,), 1 << 42, zipfile.ZIP_STORED),
        "4398046511104 bytes in images.npy, of ",
    ),
    "npz with a dictionary of its own size": (
        "own_npz.load(path)",
        lambda: member((100,), method=zipfile.ZIP_LZMA),
        "images.npy compressed in another way than numpy's",
    ),
    "png of 100000 x 100000": (
        "decoding.read(path, None, 0)",
        lambda: huge_png(100_000, 100_000),
        "got Image size (10000000000 pixels) exceeds limit",
    ),
    "black png of 8200 x 8200": (
        "decoding.read(path, None, 0)",
        lambda: black(8200),
        "must have at most 67108864 pixels, got 8200 x 8200",
    ),
    "mat of zeros": (
        "freyfaces._read(path)",
        lambda: compressed_matrix(1 << 27),
        "a variable of more than 4194304 bytes",
    ),
    "mat of gigabytes": (
        "freyfaces._read(path)",
        lambda: bytes(126) + b"IM" + struct.pack("<II", 14, 0xFFFFFFF0) + bytes(99),
        "99 of 4294967280 bytes of an element",
    ),
    "tfrecord of exabytes": (
        "list(tfrecord.records(path))",
        lambda: struct.pack("<Q4x", 1 << 62) + bytes(99),
        "95 of 4611686018427387904 bytes of record 0",
    ),
    "pickle with a memo of 32 GB": (
        "wheel.unpickle(path.open('rb'))",
        lambda: b"\x80\x02Nr\xff\xff\xff\xff.",
        "a memo of 4294967295 entries",
    ),
    "pickle with a memo of 8 GB, as text": (
        "wheel.unpickle(path.open('rb'))",
        lambda: b"Np999999999\n.",
        "a memo of 999999999 entries",
    ),
    "torch's pickle with a text of 4 GB": (
        "torch_file.read(path)",
        lambda: torch_files.as_sequence({}, b"\x80\x02X\xff\xff\xff\xffab."),
        "must hold a dict of tensors, got ",
    ),
}
CHILD = """
import json, pathlib, resource, sys
from vae_jax.data import decoding, freyfaces, idx, own_npz, tfrecord, wheel
from vae_jax.extractors import torch_file
most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for call, path in json.load(sys.stdin):
    before, path = most(), pathlib.Path(path)
    try: said = repr(eval(call))
    except Exception as error: said = f"{type(error).__name__}: {error}"
    print(json.dumps([said, most() - before]))
"""
UNIT = 1 if sys.platform == "darwin" else 1024


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What was said of each lie, and by how many bytes the process grew meanwhile."""
    place, calls = tmp_path_factory.mktemp("lies"), []
    for i, (call, content, _) in enumerate(LIES.values()):
        (place / str(i)).write_bytes(content())
        calls.append((call, str(place / str(i))))
    # In a process of its own, as the most that this one took is long past.
    command, given = [sys.executable, "-W", "ignore", "-c", CHILD], json.dumps(calls)
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=True, timeout=120
    )
    return dict(zip(LIES, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", LIES)
def test_a_file_that_promises_much_is_refused_and_takes_no_memory(told, name):
    said, grown = told[name]
    assert said.startswith(("ValueError: ", "TooLarge: "))
    assert LIES[name][2] in said
    assert grown * UNIT < 50e6  # the largest file has 0.6 MB, the least lie 67 MB


def test_images_beyond_all_memory_are_refused_before_it_is_asked_for(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(dataset, "MAX_BYTES", 2 * 6 * 5 - 1)
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(
            made(lambda s: Image.new("L", (5, 6)).save(s, "PNG"))
        )
    wanted = anything(path=str(tmp_path))
    with pytest.raises(
        ValueError, match=r"must take at most 5\.9e-08 GB of memory, got"
    ):
        folder.load(wanted)
    monkeypatch.setattr(dataset, "MAX_BYTES", 2 * 6 * 5)
    assert folder.load(wanted).train.images.shape == (2, 6, 5, 1)


@pytest.mark.parametrize(
    ("num_images", "size"), [(2**31 - 1, (28, 28)), (200, (8000, 8000))]
)
def test_shapes_beyond_all_memory_are_not_drawn(num_images, size):
    wanted = anything(num_images=num_images, image_size=size)
    with pytest.raises(ValueError, match="shapes: images must take at most 8 GB"):
        shapes.load(wanted)


def test_pixels_of_tfds_are_inflated_no_further_than_an_image_is_large():
    feature = tfds.features.Tensor(shape=(6, 5, 1), dtype=np.uint8, encoding="zlib")
    few, many = zlib.compress(bytes(6 * 5)), zlib.compress(bytes(20_000_000))
    assert tfds_records._pixels(feature, few).shape == (6, 5, 1)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"other than 30 bytes in \d+ compressed"):
        tfds_records._pixels(feature, many)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("kind", ["folder", "idx"])
def test_a_pipe_among_the_files_is_not_waited_for(tmp_path, kind):
    if kind == "folder":
        os.mkfifo(tmp_path / "a.png")
        with pytest.raises(ValueError, match=r"a\.png: must be a file, got something"):
            folder.load(anything(path=str(tmp_path)))
    else:
        os.mkfifo(tmp_path / "train-images-idx3-ubyte")
        with pytest.raises(FileNotFoundError, match="must hold train-images-idx3"):
            own_idx.load(str(tmp_path))


@pytest.mark.parametrize("shape", [(-1, 100), (-10, -10)])
def test_a_negative_size_is_no_shape(tmp_path, shape):
    (tmp_path / "a.npz").write_bytes(member(shape))
    with pytest.raises(ValueError, match=r"got the shape \(-1"):
        npz.read(tmp_path / "a.npz", ("images",))


def test_idx_images_without_a_pixel_are_refused_by_name(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(IMAGES[:, :0]))
    with pytest.raises(ValueError, match=r"not empty, got shape \(3, 0, 4, 1\)"):
        loading.load(
            "idx",
            anything(path=str(tmp_path)),
            valid_size=0,
            test_size=1,
            binarize="none",
            limit=0,
        )


def test_numbers_too_large_for_float32_are_refused_without_a_warning(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.full((3, 4, 4), 1e300))
    raw = own_npz.load(str(tmp_path / "a.npz"))
    with pytest.raises(ValueError, match=r"finite and in \[0, 1\], got inf to inf"):
        dataset.check("npz", raw)
