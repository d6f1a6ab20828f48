"""InceptionV3's weights from every place, and features by the batch.

Most tests have a network of one unit, whose features are its bias plus the mean of an
image; the checkpoint is a small file then, with a sum of its own.
"""

import hashlib
import http.server
import logging
import pathlib
import re
import threading

import inception_rule
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_files
from torch_files import Part

from vae_jax.data import cache, download, npz
from vae_jax.data.dataset import Unavailable
from vae_jax.extractors import inception as extractor
from vae_jax.extractors import inception_params
from vae_jax.models import inception

SHAPES = {"kernel": (1, 1, 3, 2), "bias": (2,)}
TREE = {"unit": {n: jax.ShapeDtypeStruct(s, jnp.float32) for n, s in SHAPES.items()}}
STATE = {
    "unit.conv.weight": np.ones((2, 3, 1, 1), np.float32),
    "unit.bn.weight": np.ones(2, np.float32),
    "unit.bn.bias": np.float32([3, 5]),
    "unit.bn.running_mean": np.zeros(2, np.float32),
    "unit.bn.running_var": np.ones(2, np.float32),
}
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 1), dtype=np.uint8)
FEATURES = IMAGES.mean(axis=(1, 2)) + np.array([3.0, 5.0])


def written(path, state):
    parts = {name: Part(name, array) for name, array in state.items()}
    path.write_bytes(torch_files.as_sequence(parts))
    return path


def sum_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def no_network(*args):
    raise Unavailable("download: not asked for")


@pytest.fixture
def bare_machine(monkeypatch, tmp_path):
    """Neither cache, nor file, nor network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VAE_JAX_INCEPTION", raising=False)
    monkeypatch.setattr(download, "fetch", no_network)


@pytest.fixture
def weights(monkeypatch, tmp_path, bare_machine):
    """The small network's file, in place of the published one."""

    def of_batch(params, images):
        means = images.astype(np.float32).mean(axis=(1, 2))
        return means + params["unit"]["bias"].reshape(1, -1)

    path = written(tmp_path / "weights.pth", STATE)
    monkeypatch.setattr(inception, "shapes", lambda: TREE)
    monkeypatch.setattr(extractor, "_of_batch", jax.jit(of_batch))
    monkeypatch.setattr(extractor, "SHA256", sum_of(path))
    return path


@pytest.fixture
def other(tmp_path):
    """A file that is as good, but another."""
    return written(tmp_path / "other.pth", STATE | {"fc.bias": np.zeros(1008, "f4")})


def cached():
    return cache.path(f"inception_{extractor.SHA256}.npz")


def assert_works(built):
    # Means of bytes in float32.
    np.testing.assert_allclose(built.features(IMAGES), FEATURES, rtol=1e-6)


@pytest.mark.parametrize("setting", ["argument", "environment", "both"])
def test_a_given_file_is_read_left_alone_and_cached(
    weights, other, monkeypatch, caplog, setting
):
    if setting != "argument":
        given = weights if setting == "environment" else other
        monkeypatch.setenv("VAE_JAX_INCEPTION", str(given))
    before = weights.stat().st_mtime_ns, sorted(weights.parent.iterdir())
    with caplog.at_level(logging.INFO, "vae_jax"):
        built = extractor.build(None if setting == "environment" else str(weights))
    assert_works(built)
    assert (weights.stat().st_mtime_ns, sum_of(weights)) == (before[0], built.sha256)
    assert f"inception: read from {weights}" in caplog.messages
    assert sorted(weights.parent.iterdir()) == sorted([*before[1], cached().parents[1]])
    assert list(cached().parent.iterdir()) == [cached()]


def test_a_path_may_begin_at_home(weights, monkeypatch):
    monkeypatch.setenv("HOME", str(weights.parent))
    assert_works(extractor.build("~/weights.pth"))


def test_the_cache_is_all_that_is_needed_from_then_on(weights):
    extractor.build(str(weights))
    weights.unlink()
    assert_works(extractor.build(None))
    assert_works(extractor.build(""))


def test_a_file_is_converted_once(weights, monkeypatch):
    extractor.build(str(weights))
    monkeypatch.delattr(inception_params, "from_checkpoint")
    assert_works(extractor.build(str(weights)))


@pytest.mark.parametrize("setting", ["argument", "environment"])
@pytest.mark.parametrize("filled", [False, True], ids=["no cache", "cache"])
def test_a_given_file_with_another_sum_is_an_error_whatever_is_cached(
    weights, other, monkeypatch, setting, filled
):
    if filled:
        extractor.build(str(weights))
    if setting == "environment":
        monkeypatch.setenv("VAE_JAX_INCEPTION", str(other))
    message = f"{other}: sha256 must be {extractor.SHA256}, got {sum_of(other)}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        extractor.build(None if setting == "environment" else str(other))


@pytest.mark.parametrize("kind", ["absent", "folder"])
def test_a_given_file_that_is_none_is_an_error_that_says_who_gave_it(
    weights, monkeypatch, kind
):
    path = weights.parent / "absent.pth" if kind == "absent" else weights.parent
    must = re.escape(f"must be an existing file, got '{path}'")
    with pytest.raises(FileNotFoundError, match=f"^eval.inception_weights: {must}$"):
        extractor.build(str(path))
    monkeypatch.setenv("VAE_JAX_INCEPTION", str(path))
    with pytest.raises(FileNotFoundError, match=f"^VAE_JAX_INCEPTION: {must}$"):
        extractor.build(None)


def test_a_given_file_that_may_not_be_read_is_an_error(weights, monkeypatch):
    def forbidden(path):
        raise PermissionError("not yours")  # root may read anything

    monkeypatch.setattr(extractor, "_verify", forbidden)
    message = r"^eval\.inception_weights: must be readable, got not yours$"
    with pytest.raises(FileNotFoundError, match=message):
        extractor.build(str(weights))


def test_a_file_with_the_right_sum_and_wrong_tensors_is_an_error(weights, monkeypatch):
    written(weights, STATE | {"surplus": np.zeros(1, np.float32)})
    monkeypatch.setattr(extractor, "SHA256", sum_of(weights))
    with pytest.raises(ValueError, match=r"weights\.pth: .* with surplus beside them"):
        extractor.build(str(weights))


def damage(how):
    path = cached()
    if how == "cut off":
        path.write_bytes(path.read_bytes()[:-50])
    elif how == "a bit":
        content = bytearray(path.read_bytes())
        content[content.index(np.float32([3, 5]).tobytes())] ^= 1
        path.write_bytes(content)
    else:
        arrays = npz.read(path, npz.names(path))
        npz.write(path, arrays | {"unit.bias": np.float32([4, 5])})


@pytest.mark.parametrize("how", ["cut off", "a bit", "other numbers"])
def test_a_damaged_cache_is_made_again(weights, caplog, how):
    extractor.build(str(weights))
    whole = npz.read(cached(), ("unit.bias", "sha256"))
    damage(how)
    with pytest.raises(FileNotFoundError, match="cache: damaged, to be replaced: "):
        extractor.build(None)
    with caplog.at_level(logging.INFO, "vae_jax"):
        assert_works(extractor.build(str(weights)))
    assert "cache: damaged, to be replaced: " in caplog.text
    np.testing.assert_equal(npz.read(cached(), ("unit.bias", "sha256")), whole)


def test_a_cache_that_cannot_be_written_does_no_harm(weights, tmp_path, caplog):
    (tmp_path / "cache").write_text("no folder")
    assert_works(extractor.build(str(weights)))
    assert "inception: not cached: " in caplog.text


def test_weights_that_are_nowhere_are_an_error_with_three_ways_out(weights):
    with pytest.raises(FileNotFoundError) as caught:
        extractor.build(None)
    assert str(caught.value).splitlines() == [
        "inception: got nothing from any place:",
        f"  cache: no {cached()}",
        "  files: neither eval.inception_weights nor VAE_JAX_INCEPTION is set",
        "  download: not asked for",
        "Ways out:",
        "  get https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth and say "
        "--config.eval.inception_weights=FILE",
        "  or set VAE_JAX_INCEPTION=FILE",
        f"  or copy {cached()} from a machine that has it",
    ]


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A mirror on the loopback that has what the test puts into its folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def log_message(self, *args):
            pass

    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(extractor, "MIRRORS", (url,))
        yield folder
        server.shutdown()
        thread.join()


FETCH = download.fetch


def test_weights_are_downloaded_once(weights, server, monkeypatch):
    monkeypatch.setattr(download, "fetch", FETCH)
    served = server / "pt_inception-2015-12-05-6726825d.pth"
    weights.rename(served)
    assert_works(extractor.build(None))
    served.unlink()
    assert_works(extractor.build(None))


def test_a_download_with_another_sum_is_not_used(weights, other, server, monkeypatch):
    monkeypatch.setattr(download, "fetch", FETCH)
    other.rename(server / extractor.FILE)
    got = sum_of(server / extractor.FILE)
    message = rf"{extractor.FILE}: sha256 must be {extractor.SHA256}, got {got}\n"
    with pytest.raises(FileNotFoundError, match=message):
        extractor.build(None)
    assert not cached().exists()


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_any_number_of_images_takes_one_compilation(weights, monkeypatch, n):
    monkeypatch.setattr(extractor, "BATCH", 2)
    sizes = []
    of_batch = extractor._of_batch

    def watched(params, images):
        sizes.append(len(images))
        return of_batch(params, images)

    monkeypatch.setattr(extractor, "_of_batch", watched)
    found = extractor.build(str(weights)).features(IMAGES[:n])
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, FEATURES[:n], rtol=1e-6)  # means in float32
    assert sizes == [2] * -(-n // 2)


def test_images_that_are_not_bytes_are_refused(weights):
    built = extractor.build(str(weights))
    with pytest.raises(TypeError, match=r"^images: must be uint8, got float32$"):
        built.features(IMAGES.astype(np.float32))


@pytest.mark.parametrize("shape", [(0, 4, 4, 1), (2, 0, 4, 3), (2, 4, 4, 2), (4, 4, 3)])
def test_images_of_another_shape_are_refused(weights, shape):
    built = extractor.build(str(weights))
    must = "images: must be [N, H, W, C], none of them 0 and C 1 or 3"
    message = re.escape(f"{must}, got {list(shape)}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        built.features(np.zeros(shape, np.uint8))


def test_the_published_file_s_own_network_has_the_features_of_torch(
    bare_machine, monkeypatch, tmp_path
):
    # The whole way at its real size: 95 MB as torch before 1.6 wrote them.
    shapes = inception_params.checkpoint_shapes() | {"fc.bias": (1008,)}
    state = {name: inception_rule.tensor(name, s) for name, s in shapes.items()}
    path = written(tmp_path / "weights.pth", state)
    monkeypatch.setattr(extractor, "SHA256", sum_of(path))
    monkeypatch.setattr(extractor, "BATCH", 1)
    built = extractor.build(str(path))
    assert built[:3] == ("inception", sum_of(path), 2048)
    found = built.features(inception_rule.images("grey"))
    assert found.shape == (2, 2048)
    # The norms and two features of each, from test_inception.py, with its tolerance.
    summary = inception_rule.summary(found)[:, [0, 2, 4]]
    expected = [[200.79474, 5.20729, 7.56311], [200.9162, 5.23991, 7.3122]]
    np.testing.assert_allclose(summary, expected, rtol=1e-6, atol=1e-4)


def test_the_sum_and_the_address_are_those_of_the_published_file():
    # The release names the file after the first eight digits of its sum.
    assert re.search(r"-([0-9a-f]{8})\.pth$", extractor.FILE)[1] == "6726825d"
    assert re.fullmatch("6726825d[0-9a-f]{56}", extractor.SHA256)
    assert pathlib.PurePosixPath(extractor.FILE).name == extractor.FILE
    assert all(m.startswith("https://") and m.endswith("/") for m in extractor.MIRRORS)
    assert extractor.LIMITS.max_bytes >= 95_628_359
