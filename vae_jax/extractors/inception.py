"""The 2015 InceptionV3, whose features define the Frechet inception distance.

Its weights are one file, told from all others by its sha256: given by the user, else in
the cache, else downloaded. What it holds is converted once and kept in the cache.
"""

import functools
import hashlib
import os
import pathlib
import tempfile

import jax
import numpy as np

from vae_jax import evaluate
from vae_jax.contracts import Extractor, Params
from vae_jax.data import cache, download, search
from vae_jax.data.dataset import Unavailable
from vae_jax.extractors import inception_params, torch_file
from vae_jax.models import inception

NAME = "inception"
FILE = "pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
MIRRORS = ("https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/",)
# The file has 95,628,359 bytes; at the limit of time, 0.4 Mbit/s.
LIMITS = download.Limits(max_bytes=95_628_359, total_seconds=1800.0)
VARIABLE = "VAE_JAX_INCEPTION"
FIELD = "eval.inception_weights"
BATCH = 16  # on the CPU as fast as any, and 1.3 GB


def build(weights: str | None) -> Extractor:
    """Features from the last grid's average; images are resized as in the graph.

    Args:
        weights: path of the published file; None or "" means ``$VAE_JAX_INCEPTION``,
            else the cache, else a download.

    Raises:
        ValueError: if a given file is another one.
        FileNotFoundError: if a given file is not there, or the weights are nowhere.
    """
    params = jax.device_put(_load(weights))
    return Extractor(NAME, SHA256, inception.DIMS, functools.partial(_features, params))


def _features(params: Params, images: np.ndarray) -> np.ndarray:
    """Features of uint8 images [N, H, W, C], as float64 [N, 2048].

    Raises:
        TypeError: if the images are not uint8.
        ValueError: if they are none, or not [N, H, W, 1 or 3].
    """
    if images.dtype != np.uint8:
        raise TypeError(f"images: must be uint8, got {images.dtype}")
    fits = images.ndim == 4 and images.shape[-1] in inception.CHANNELS and images.size
    if not fits:
        raise ValueError(
            "images: must be [N, H, W, C], none of them 0 and C 1 or 3, "
            f"got {list(images.shape)}"
        )

    def of(batch, rows):
        del rows
        return _of_batch(params, batch)

    return evaluate.in_batches(of, images, BATCH).astype(np.float64)


_of_batch = jax.jit(inception.features)


def _load(weights: str | None) -> Params:
    given = _given(weights)
    name = f"inception_{SHA256}.npz"
    places = (
        lambda: cache.take(name, inception_params.from_npz),
        lambda: _from_file(given),
        _from_mirrors,
    )
    ways_out = (
        f"get {MIRRORS[0]}{FILE} and say --config.{FIELD}=FILE",
        f"or set {VARIABLE}=FILE",
        f"or copy {cache.path(name)} from a machine that has it",
    )
    source, params = search.first(NAME, places, ways_out)
    if source != cache.SOURCE:
        cache.keep(name, inception_params.to_arrays(params), NAME)
    return params


def _given(weights: str | None) -> pathlib.Path | None:
    """The file that the user named, which is the published one.

    Looked at even if the cache has the weights: a wrong file is a mistake to be told.
    """
    what, name = (FIELD, weights) if weights else (VARIABLE, os.environ.get(VARIABLE))
    if not name:
        return None
    path = search.place(name)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{what}: must be an existing file, got {name!r}")
    try:
        _verify(path)
    except OSError as error:
        raise FileNotFoundError(f"{what}: must be readable, got {error}") from error
    return path


def _from_file(path: pathlib.Path | None) -> tuple[str, Params]:
    if path is None:
        raise Unavailable(f"files: neither {FIELD} nor {VARIABLE} is set")
    return str(path), _convert(path)


def _from_mirrors() -> tuple[str, Params]:
    def check(path: pathlib.Path, name: str) -> None:
        _verify(path)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        mirror = download.fetch(MIRRORS, (FILE,), folder, check, LIMITS)
        return mirror, _convert(folder / FILE)


def _convert(path: pathlib.Path) -> Params:
    return inception_params.from_checkpoint(torch_file.read(path), path)


def _verify(path: pathlib.Path) -> None:
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != SHA256:
        raise ValueError(f"{path}: sha256 must be {SHA256}, got {got}")
