"""FreyFaces: 1965 grey frames of one face, from cache, files or its canonical home.

Source:
    Roweis, Saul & Hinton 2002, "Global coordination of local linear models"; the file
    is `frey_rawface.mat` of Sam Roweis's data page.
"""

import hashlib
import os
import pathlib
import tempfile

import numpy as np
from jaxtyping import UInt8

from vae_jax.data import cache, download, mat, npz, search
from vae_jax.data.dataset import Raw, Split, Unavailable

Faces = UInt8[np.ndarray, "N 28 20"]

NAME = "frey_rawface.mat"
FILE_SHA256 = "265a83a23adb081755cd3de375509828e690324d1d60f076b8ecebc840d59c64"
# Of the images as bytes, face after face, row after row: however they are stored.
SHA256 = "2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78"
VARIABLE = "ff"
SHAPE = (1965, 28, 20)
MIRRORS = ("https://cs.nyu.edu/~roweis/data/",)
LIMITS = download.Limits(max_bytes=4 << 20)  # it has 1.1 MB
NPZ = "freyfaces.npz"
WAYS_OUT = (
    f"put {NAME} into a folder and say --config.data.dir=FOLDER",
    "or set VAE_JAX_DATA_DIR=FOLDER",
    "or run --config=configs/shapes_mlp.py, which needs no network",
)


def load(directory: str | None) -> Raw:
    """All frames in their order in time; none of them is set apart for the test.

    Args:
        directory: folder to look into after the cache; None or "" means
            ``$VAE_JAX_DATA_DIR``.

    Raises:
        ValueError: if a file in the folder is damaged, or is not FreyFaces.
        FileNotFoundError: if the folder is not there, or no place has FreyFaces.
    """
    folder = search.given_folder(directory)
    places = (
        lambda: cache.take(NPZ, _read_npz),
        lambda: _from_files(folder),
        _from_home,
    )
    source, faces = search.first("freyfaces", places, WAYS_OUT)
    if source != cache.SOURCE:
        cache.keep(NPZ, {"images": faces}, "freyfaces")
    return Raw(source, Split(faces[..., None], None))


def _from_files(folder: pathlib.Path | None) -> tuple[str, Faces]:
    places = search.places_below(folder, "freyfaces")
    for place in places:
        if os.path.isfile(place / NAME):
            return f"files in {place}", _read(place / NAME)
    raise Unavailable("\n".join(f"files: {place} lacks {NAME}" for place in places))


def _from_home() -> tuple[str, Faces]:
    def check(path: pathlib.Path, name: str) -> None:
        got = hashlib.sha256(path.read_bytes()).hexdigest()
        if got != FILE_SHA256:
            raise ValueError(f"{path}: sha256 must be {FILE_SHA256}, got {got}")

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        home = download.fetch(MIRRORS, (NAME,), folder, check, LIMITS)
        return home, _read(folder / NAME)


def _read_npz(path: pathlib.Path) -> Faces:
    return _verify(path, npz.read(path, ("images",))["images"])


def _read(path: pathlib.Path) -> Faces:
    """The faces of a MATLAB file, which holds one of them in each column.

    Raises:
        ValueError: if the file cannot be read, or holds something else.
    """
    columns = mat.read(path, VARIABLE, LIMITS.max_bytes)
    if columns.size != np.prod(SHAPE):
        raise ValueError(f"{path}: {VARIABLE} must be [560, 1965], got {columns.shape}")
    return _verify(path, np.ascontiguousarray(columns.T).reshape(SHAPE))


def _verify(path: pathlib.Path, faces: np.ndarray) -> Faces:
    if faces.dtype != np.uint8:
        raise ValueError(f"{path}: faces must be uint8, got {faces.dtype}")
    got = hashlib.sha256(np.ascontiguousarray(faces)).hexdigest()
    if got != SHA256:
        raise ValueError(
            f"{path}: must hold FreyFaces, sha256 of the faces {SHA256}, "
            f"got other data, sha256 {got}"
        )
    return faces
