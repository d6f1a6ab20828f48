"""Names of parts and near misses, for all readers of the user's own data."""

import re

import numpy as np
import pytest
from conftest import anything
from PIL import Image

from vae_jax.data import folder, own_npy, own_npz, parts

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 3, 2), dtype=np.uint8)
READERS = ("folder", "npz", "npy")
NEAR = {
    "train": ["Train", "TRAIN", "training", "Training"],
    "valid": ["Valid", "val", "VAL", "validation", "Validation", "dev", "Dev"],
    "test": ["Test", "TEST", "testing", "Testing", "eval", "Eval"],
}
NEAR_MISSES = [(part, name) for part, names in NEAR.items() for name in names]


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def load(reader, place, arrays):
    """What a reader makes of arrays of images or labels by their names."""
    if reader == "npz":
        place = place / "own.npz"
        np.savez(place, **arrays)
        return place, lambda: own_npz.load(str(place))
    place = place / "own"
    place.mkdir()
    if reader == "npy":
        for name, array in arrays.items():
            np.save(place / f"{name}.npy", array)
        return place, lambda: own_npy.load(str(place))
    for name, array in arrays.items():
        (place / name).mkdir()
        for row, image in enumerate(array):
            Image.fromarray(image).save(place / name / f"{row}.png")
    return place, lambda: folder.load(anything(path=str(place)))


def said(where, part, wanted, name):
    return (
        f"{where}: what looks like the part {part} must be called {wanted}, "
        f"got {name}; if it is no part, it needs another name"
    )


@pytest.mark.parametrize(("part", "name"), NEAR_MISSES)
def test_a_near_miss_is_refused_with_the_part_s_name(part, name):
    with pytest.raises(ValueError, match="looks like the part") as caught:
        parts.check_names("here", ["other", part, name])
    assert str(caught.value) == said("here", part, part, name)


@pytest.mark.parametrize(
    "name", [*parts.PARTS, "tests", "x_test", "train2", "my test", "", "val_labels"]
)
def test_parts_and_names_that_are_only_alike_are_accepted(name):
    parts.check_names("here", [name])


def test_all_that_is_meant_by_a_part_is_in_lower_case_and_has_its_own_name():
    assert {name.casefold() for name in parts.MEANT} == set(parts.MEANT)
    assert {part: parts.MEANT[part] for part in parts.PARTS} == dict(
        zip(parts.PARTS, parts.PARTS, strict=True)
    )


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("names", "part", "name"),
    [
        (["train", "Test"], "test", "Test"),
        (["train", "test", "val"], "valid", "val"),
        (["train", "valid", "validation"], "valid", "validation"),
        (["Train", "Test"], "test", "Test"),
        (["Train", "test"], "train", "Train"),
        (["training"], "train", "training"),
        (["dev"], "valid", "dev"),
    ],
)
def test_all_readers_refuse_near_misses(tmp_path, reader, names, part, name):
    place, read = load(reader, tmp_path, dict.fromkeys(sorted(names), IMAGES))
    with pytest.raises(ValueError, match="looks like the part") as caught:
        read()
    assert str(caught.value) == said(place, part, part, name)


@pytest.mark.parametrize("reader", ["npz", "npy"])
@pytest.mark.parametrize("name", ["Test_labels", "test_Labels", "eval_labels"])
def test_labels_of_a_part_are_not_lost_by_a_near_miss(tmp_path, reader, name):
    arrays = {"train": IMAGES, "test": IMAGES, name: np.arange(4)}
    place, read = load(reader, tmp_path, arrays)
    with pytest.raises(ValueError, match="looks like the part") as caught:
        read()
    assert str(caught.value) == said(place, "test", "test_labels", name)


@pytest.mark.parametrize("reader", READERS)
def test_all_readers_take_parts_by_their_names(tmp_path, reader):
    _, read = load(reader, tmp_path, dict.fromkeys(parts.PARTS, IMAGES))
    raw = read()
    for part in parts.PARTS:
        np.testing.assert_array_equal(getattr(raw, part).images[:][..., 0], IMAGES)


@pytest.mark.parametrize("reader", ["npz", "npy"])
def test_labels_are_used_and_nothing_is_said(tmp_path, reader, caplog):
    names = [*parts.PARTS] + [f"{p}_labels" for p in parts.PARTS]
    arrays = {n: np.arange(4) if "_" in n else IMAGES for n in names}
    _, read = load(reader, tmp_path, arrays)
    raw = read()
    for part in parts.PARTS:
        np.testing.assert_array_equal(getattr(raw, part).labels, np.arange(4))
    assert caplog.messages == []


@pytest.mark.parametrize("reader", ["npz", "npy"])
def test_what_is_used_for_nothing_is_named_in_a_line(tmp_path, reader, caplog):
    arrays = {"test_labels": np.arange(4), "train": IMAGES, "x_test": IMAGES}
    place, read = load(reader, tmp_path, arrays)
    assert read().test is None
    assert caplog.messages == [
        f"{reader}: left out of {place}: 'test_labels', 'x_test'"
    ]


def test_a_line_names_ten_at_most_and_stays_one_line(caplog):
    parts.say_left_out("npz", "here", ["a\nb", *map(str, range(9))])
    parts.say_left_out("npz", "here", [*map(str, range(12))])
    parts.say_left_out("npz", "here", [])
    digits = ", ".join(f"'{n}'" for n in range(9))
    assert caplog.messages == [
        rf"npz: left out of here: 'a\nb', {digits}",
        f"npz: left out of here: {digits}, '9' and 2 more",
    ]


def test_a_near_miss_of_shards_is_refused(tmp_path):
    np.save(tmp_path / "train.npy", IMAGES)
    for number in range(2):
        np.save(tmp_path / f"Test-{number}-of-2.npy", IMAGES)
    text = re.escape(said(tmp_path, "test", "test", "Test"))
    with pytest.raises(ValueError, match=f"^{text}$"):
        own_npy.load(str(tmp_path))
