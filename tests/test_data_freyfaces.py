"""FreyFaces from every place: small faces under its name, with sums of their own."""

import hashlib
import logging
import os
import pathlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import scipy.io

from vae_jax.data import cache, download, freyfaces, npz
from vae_jax.data.dataset import Unavailable

FACES = np.random.default_rng(0).integers(0, 256, (5, 28, 20), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _five_faces(monkeypatch, tmp_path):
    """A machine with neither cache, nor folder, nor network."""
    monkeypatch.setattr(freyfaces, "SHAPE", FACES.shape)
    monkeypatch.setattr(freyfaces, "SHA256", hashlib.sha256(FACES).hexdigest())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VAE_JAX_DATA_DIR", raising=False)

    def unavailable(*args):
        raise Unavailable(f"not asked for: {args[0]}")

    monkeypatch.setattr(download, "fetch", unavailable)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    return path


def write(path, faces=FACES, name="ff"):
    """As Roweis's file: a face in each column, row after row."""
    scipy.io.savemat(path, {name: faces.reshape(len(faces), -1).T})
    return path


@pytest.mark.parametrize("below", ["", "freyfaces"])
@pytest.mark.parametrize("setting", ["data.dir", "VAE_JAX_DATA_DIR"])
def test_a_file_in_the_folder_is_read_and_left_alone(
    folder, monkeypatch, below, setting
):
    place = folder / below
    place.mkdir(exist_ok=True)
    path = write(place / freyfaces.NAME)
    before = path.stat().st_mtime_ns, sorted(folder.rglob("*"))
    if setting == "VAE_JAX_DATA_DIR":
        monkeypatch.setenv(setting, str(folder))
    raw = freyfaces.load(str(folder) if setting == "data.dir" else None)
    assert raw.source == f"files in {place}"
    np.testing.assert_array_equal(raw.train.images, FACES[..., None])
    assert raw.train.labels is raw.test is raw.valid is None
    assert (path.stat().st_mtime_ns, sorted(folder.rglob("*"))) == before


def test_the_second_load_reads_the_cache_and_needs_nothing_else(folder):
    write(folder / freyfaces.NAME)
    freyfaces.load(str(folder))
    raw = freyfaces.load(None)
    assert raw.source == "cache"
    np.testing.assert_array_equal(raw.train.images, FACES[..., None])


def test_a_changed_cache_is_named_and_replaced(folder, caplog):
    write(folder / freyfaces.NAME)
    path = cache.path("freyfaces.npz")
    npz.write(path, {"images": FACES ^ 1})
    with caplog.at_level(logging.INFO, "vae_jax"):
        assert freyfaces.load(str(folder)).source == f"files in {folder}"
    assert "cache: damaged, to be replaced" in caplog.messages[0]
    assert freyfaces.load(None).source == "cache"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: write(p, name="gg"), "must hold the variable ff, and does not"),
        (lambda p: write(p, FACES[:4]), "ff must be [560, 1965], got (560, 4)"),
        (lambda p: write(p, FACES.astype(float)), "ff must be uint8, got float64"),
        (lambda p: write(p, FACES ^ 1), "must hold FreyFaces, sha256 of the faces"),
        (lambda p: p.write_bytes(b"ff" * 100), "must be a whole MATLAB file: "),
        (lambda p: p.write_bytes(b""), "must be a whole MATLAB file: "),
    ],
)
def test_a_file_that_is_something_else_is_named_and_left_in_place(
    folder, make, message
):
    path = folder / freyfaces.NAME
    make(path)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=f"^{path}: ") as caught:
        freyfaces.load(str(folder))
    assert message in str(caught.value)
    assert path.read_bytes() == content
    assert not cache.path("freyfaces.npz").exists()


def test_a_file_that_was_cut_off_is_refused(folder):
    path = write(folder / freyfaces.NAME)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"^{path}: must be a whole MATLAB file: "):
        freyfaces.load(str(folder))


@pytest.fixture
def home(folder, monkeypatch):
    """The canonical home, on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.undo()  # the real download, of the five faces
    monkeypatch.setattr(freyfaces, "SHAPE", FACES.shape)
    monkeypatch.setattr(freyfaces, "SHA256", hashlib.sha256(FACES).hexdigest())
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.delenv("VAE_JAX_DATA_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(freyfaces, "MIRRORS", (url,))
    yield url
    server.shutdown()
    server.server_close()


def test_the_file_is_downloaded_verified_and_cached(home, folder, monkeypatch):
    path = write(folder / freyfaces.NAME)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(freyfaces, "FILE_SHA256", sha256)
    raw = freyfaces.load(None)
    assert raw.source == home
    np.testing.assert_array_equal(raw.train.images, FACES[..., None])
    assert freyfaces.load(None).source == "cache"


def test_a_downloaded_file_with_another_sum_is_refused(home, folder):
    write(folder / freyfaces.NAME)
    with pytest.raises(FileNotFoundError, match="sha256 must be 265a83a2") as caught:
        freyfaces.load(None)
    assert not cache.path("freyfaces.npz").exists()
    assert "Ways out:\n  put frey_rawface.mat into a folder" in str(caught.value)


def test_nothing_found_lists_what_was_tried_and_the_ways_out(folder):
    with pytest.raises(FileNotFoundError) as caught:
        freyfaces.load(str(folder))
    assert (
        str(caught.value)
        == f"""\
freyfaces: got nothing from any place:
  cache: no {cache.path("freyfaces.npz")}
  files: {folder} lacks frey_rawface.mat
  files: {folder / "freyfaces"} lacks frey_rawface.mat
  not asked for: ('https://cs.nyu.edu/~roweis/data/',)
Ways out:
  put frey_rawface.mat into a folder and say --config.data.dir=FOLDER
  or set VAE_JAX_DATA_DIR=FOLDER
  or run --config=configs/shapes_mlp.py, which needs no network"""
    )


def real_folder():
    folder = pathlib.Path(os.environ.get("VAE_JAX_DATA_DIR") or os.devnull)
    names = freyfaces.NAME, f"freyfaces/{freyfaces.NAME}"
    return folder if any((folder / name).exists() for name in names) else None


REAL = real_folder()
REAL_SHAPE, REAL_SHA256 = freyfaces.SHAPE, freyfaces.SHA256


@pytest.mark.skipif(REAL is None, reason="VAE_JAX_DATA_DIR holds no FreyFaces")
def test_the_real_faces_are_read(monkeypatch):
    monkeypatch.setattr(freyfaces, "SHAPE", REAL_SHAPE)
    monkeypatch.setattr(freyfaces, "SHA256", REAL_SHA256)
    images = freyfaces.load(str(REAL)).train.images
    assert images.shape == (1965, 28, 20, 1)
    assert (images.min(), images.max()) == (8, 238)
