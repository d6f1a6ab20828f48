"""Sets that are prepared nowhere: refused in seconds, or prepared in the cache."""

import importlib.util
import logging

import numpy as np
import pytest
import tensorflow_datasets as tfds
from conftest import anything

from vae_jax.data import cache, download, freyfaces, tfds_prepare, tfds_source
from vae_jax.data.dataset import Raw, Split, Unavailable

FACES = np.random.default_rng(0).integers(0, 256, (7, 28, 20, 1), dtype=np.uint8)
TORONTO = "https://www.cs.toronto.edu/"


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine that has nothing yet; what it is asked is recorded."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("VAE_JAX_DATA_DIR", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def means(monkeypatch):
    """Sets which hosts do not answer, and whether TensorFlow is there."""
    probed = []

    def setting(unreachable, tensorflow):
        def probe(urls, seconds):
            probed.extend(urls)
            return {url: "no answer" for url in urls if url in unreachable}

        def find_spec(name):
            assert name == "tensorflow"
            return "found" if tensorflow else None

        monkeypatch.setattr(download, "probe", probe)
        monkeypatch.setattr(importlib.util, "find_spec", find_spec)
        return probed

    return setting


@pytest.fixture
def downloads(monkeypatch):
    """The builders that TFDS was told to prepare."""
    builders = []

    def download_and_prepare(self):
        builders.append(self)

    kind = tfds.core.DatasetBuilder
    monkeypatch.setattr(kind, "download_and_prepare", download_and_prepare)
    return builders


OFFLINE = f"download: {TORONTO}: no answer"
BARE = "tfds: preparing cifar10 needs TensorFlow, which is not installed"


@pytest.mark.parametrize(
    ("unreachable", "tensorflow", "said"),
    [
        ([TORONTO], True, OFFLINE),
        ([], False, BARE),
        ([TORONTO], False, f"{OFFLINE}\n{BARE}"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_tried(
    means, downloads, unreachable, tensorflow, said
):
    probed = means(unreachable, tensorflow)
    with pytest.raises(Unavailable) as caught:
        tfds_prepare.prepare("cifar10", None)
    assert str(caught.value) == said
    assert (probed, downloads) == ([TORONTO], [])


def test_a_set_whose_hosts_are_unknown_asks_google(means, monkeypatch):
    probed = means([tfds_prepare.ANYWHERE], True)
    monkeypatch.setattr(tfds.builder_cls("cifar10"), "url_infos", None)
    with pytest.raises(Unavailable, match=r"storage\.googleapis\.com/: no answer"):
        tfds_prepare.prepare("cifar10", None)
    assert probed == ["https://storage.googleapis.com/"]


def test_one_of_several_hosts_is_enough_to_try(means, downloads, monkeypatch):
    probed = means([TORONTO], True)
    urls = {f"{TORONTO}a.zip": None, "http://b.example:81/b/c.zip": None}
    monkeypatch.setattr(tfds.builder_cls("cifar10"), "url_infos", urls)
    tfds_prepare.prepare("cifar10", None)
    assert sorted(probed) == ["http://b.example:81/", TORONTO]
    assert len(downloads) == 1


def test_a_set_is_prepared_in_the_cache_as_array_record(means, downloads, caplog):
    means([], True)
    with caplog.at_level(logging.INFO, "vae_jax"):
        builder = tfds_prepare.prepare("cifar10", None)
    place = cache.path("tfds/cifar10/3.0.2")
    assert builder.data_dir == str(place)
    assert builder.info.file_format.value == "array_record"
    assert downloads == [builder]
    assert f"tfds: preparing cifar10 in {place}" in caplog.messages


def test_what_stops_tfds_is_said(means, monkeypatch):
    means([], True)

    def fail(self):
        raise RuntimeError("checksum of a.zip")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(Unavailable, match=r"^tfds: preparing cifar10: checksum of a"):
        tfds_prepare.prepare("cifar10", None)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            "mnits",
            "must be a set that is prepared or that TFDS knows, got 'tfds:mnits'; "
            "did you mean mnist or ",
        ),
        ("freyface", "got 'tfds:freyface'; did you mean freyfaces or "),
        ("qqqqqqqq", "or that TFDS knows, got 'tfds:qqqqqqqq'"),
        (
            "mnist:1.0.0",
            "must be a config and a version that TFDS has, got 'tfds:mnist:1.0.0': "
            "Dataset mnist cannot be loaded at version 1.0.0, only: ",
        ),
        ("mnist/grey", "got 'tfds:mnist/grey': BuilderConfig grey not found"),
    ],
)
def test_what_tfds_does_not_have_is_refused_with_what_it_has(asked, said):
    with pytest.raises(ValueError, match=r"^data\.name: must be a ") as caught:
        tfds_prepare.prepare(asked, None)
    assert said in str(caught.value)


def test_freyfaces_are_prepared_without_network_in_their_order(monkeypatch, tmp_path):
    asked = []

    def load(directory):
        asked.append(directory)
        return Raw("memory", Split(FACES, None))

    monkeypatch.setattr(freyfaces, "load", load)
    (tmp_path / "folder").mkdir()
    wanted = anything(directory=str(tmp_path / "folder"))
    raw = tfds_source.load("tfds:freyfaces", wanted)
    np.testing.assert_array_equal(raw.train.images, FACES)
    assert (raw.train.labels, raw.test) == (None, None)
    assert raw.source.startswith(f"tfds {cache.path('tfds/freyfaces')}")
    assert tfds_source.load("tfds:freyfaces:1.0.0", anything()).source == raw.source
    assert asked == [wanted.directory]
    assert not list((tmp_path / "folder").iterdir())


def test_without_the_file_of_freyfaces_its_own_error_is_seen(monkeypatch):
    def load(directory):
        raise FileNotFoundError("freyfaces: got nothing from any place")

    monkeypatch.setattr(freyfaces, "load", load)
    with pytest.raises(FileNotFoundError, match=r"^freyfaces: got nothing from any"):
        tfds_source.load("tfds:freyfaces", anything())
    assert not list(cache.path("tfds").rglob("*.json"))


def test_what_is_missing_is_part_of_what_the_search_says(means):
    means([TORONTO], False)
    with pytest.raises(FileNotFoundError) as caught:
        tfds_source.load("tfds:cifar10", anything())
    assert f"  {OFFLINE}\n  {BARE}\nWays out:\n" in str(caught.value)
