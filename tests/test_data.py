"""The one door, ``data.load``: what every data set has in common."""

import logging

import numpy as np
import pytest
from conftest import anything

from vae_jax import data
from vae_jax.data import loading
from vae_jax.data.dataset import Raw, Split

DEFAULTS = {"valid_size": 0, "test_size": -1, "binarize": "none", "limit": 0}


def load(name, seed=0, **changes):
    return data.load(name, anything(seed=seed), **{**DEFAULTS, **changes})


@pytest.fixture
def ramp(monkeypatch):
    """A set whose every byte occurs, under MNIST's name."""
    pixels = np.arange(10 * 256).astype(np.uint8).reshape(10, 16, 16, 1)
    labels = np.arange(10, dtype=np.int32)
    raw = Raw("memory", Split(pixels, labels), Split(pixels[:4], labels[:4]))
    monkeypatch.setitem(loading.LOADERS, "mnist", lambda wanted: raw)
    return raw


def assert_equal(left, right):
    np.testing.assert_array_equal(left.images, right.images)
    np.testing.assert_array_equal(left.labels, right.labels)


def test_the_validation_part_is_the_last_of_the_training_images(ramp):
    found = load("mnist", valid_size=3)
    assert (found.name, found.source) == ("mnist", "memory")
    np.testing.assert_array_equal(found.train.labels, range(7))
    np.testing.assert_array_equal(found.valid.labels, range(7, 10))
    np.testing.assert_array_equal(found.train.images, ramp.train.images[:7])
    np.testing.assert_array_equal(found.valid.images, ramp.train.images[7:])
    assert_equal(found.test, ramp.test)


def test_an_empty_validation_part_keeps_the_image_shape(ramp):
    found = load("mnist")
    assert found.valid.images.shape == (0, 16, 16, 1)
    assert found.valid.labels.shape == (0,)
    assert_equal(found.train, ramp.train)


def test_limit_keeps_the_first_training_images_and_changes_nothing_else(ramp):
    found, whole = load("mnist", valid_size=3, limit=2), load("mnist", valid_size=3)
    np.testing.assert_array_equal(found.train.labels, [0, 1])
    assert_equal(found.valid, whole.valid)
    assert_equal(found.test, whole.test)


def test_labels_may_be_absent(ramp, monkeypatch):
    bare = Raw("memory", Split(ramp.train.images, None), Split(ramp.test.images, None))
    monkeypatch.setitem(loading.LOADERS, "mnist", lambda wanted: bare)
    found = load("mnist", valid_size=3)
    assert [s.labels for s in (found.train, found.valid, found.test)] == [None] * 3


@pytest.mark.parametrize("binarize", ["threshold", "static"])
def test_binarised_parts_are_black_and_white(ramp, binarize):
    found = load("mnist", valid_size=3, binarize=binarize)
    for split in (found.train, found.valid, found.test):
        assert split.images.dtype == np.uint8
        np.testing.assert_array_equal(np.unique(split.images), [0, 255])


def test_dynamic_leaves_training_grey_and_holds_out_what_static_does(ramp):
    dynamic = load("mnist", valid_size=3, binarize="dynamic")
    static = load("mnist", valid_size=3, binarize="static")
    np.testing.assert_array_equal(dynamic.train.images, ramp.train.images[:7])
    assert_equal(dynamic.valid, static.valid)
    assert_equal(dynamic.test, static.test)


@pytest.mark.parametrize("binarize", data.BINARIZE)
def test_the_test_images_depend_on_neither_valid_size_nor_limit(ramp, binarize):
    one = load("mnist", binarize=binarize)
    other = load("mnist", binarize=binarize, valid_size=5, limit=2, seed=1)
    assert_equal(one.test, other.test)


def test_static_samples_an_image_alike_wherever_the_cut_falls(ramp):
    one = load("mnist", binarize="static", valid_size=0)
    other = load("mnist", binarize="static", valid_size=4)
    both = np.concatenate([other.train.images, other.valid.images])
    np.testing.assert_array_equal(one.train.images, both)


def test_static_draws_training_and_test_images_independently(ramp):
    found = load("mnist", binarize="static")  # the first four images are the same
    assert (found.train.images[:4] != found.test.images).any()


def test_a_source_s_wrong_arrays_are_refused(ramp, monkeypatch):
    bad = ramp._replace(test=Split(ramp.test.images / 255, ramp.test.labels))
    monkeypatch.setitem(loading.LOADERS, "mnist", lambda wanted: bad)
    with pytest.raises(TypeError, match="mnist test: images must be uint8 or float32"):
        load("mnist")


def test_the_sizes_are_said_on_the_console(ramp, caplog):
    with caplog.at_level(logging.INFO, "vae_jax"):
        load("mnist", valid_size=3)
    assert "mnist: 7 training, 3 validation, 4 test images" in caplog.messages


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"name": "mnits"},
            f"data.name: must be one of {', '.join(data.NAMES)}, got 'mnits'",
        ),
        (
            {"binarize": "yes"},
            "data.binarize: must be one of none, threshold, static, dynamic, got 'yes'",
        ),
        ({"limit": -1}, "data.limit: must be 0 or more, got -1"),
        ({"valid_size": -2}, "data.valid_size: must be 0 or more, got -2"),
        ({"test_size": -2}, "data.test_size: must be 0 or more, got -2"),
        (
            {"valid_size": 10},
            "data.valid_size: must leave one of mnist's 10 training images, got 10; "
            "-1 takes a tenth",
        ),
        (
            {"valid_size": 3, "limit": 8},
            "data.limit: must be 0 (all) to 7 for mnist with data.valid_size=3, got 8",
        ),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(ramp, changes, message):
    with pytest.raises(ValueError, match=r"^data\.") as caught:
        load(**{"name": "mnist", **changes})
    assert str(caught.value) == message


def test_the_largest_allowed_valid_size_and_limit_are_accepted(ramp):
    assert len(load("mnist", valid_size=9).train.images) == 1
    assert len(load("mnist", valid_size=3, limit=7).train.images) == 7


@pytest.fixture
def uncut(ramp, monkeypatch):
    """The same set from a source that has no test part."""
    raw = ramp._replace(test=None)
    monkeypatch.setitem(loading.LOADERS, "mnist", lambda wanted: raw)
    return raw


def test_without_a_test_part_the_seed_decides_which_images_are_held_out(uncut):
    found, same, other = (load("mnist", seed=s, test_size=4) for s in (0, 0, 1))
    labels = [*found.test.labels, *found.train.labels]
    assert len(found.test.labels) == 4
    assert sorted(labels) == list(range(10))
    assert labels != sorted(labels)  # a folder's images are often sorted by class
    np.testing.assert_array_equal(found.train.images, uncut.train.images[labels[4:]])
    assert_equal(found.test, same.test)
    assert sorted(found.test.labels) != sorted(other.test.labels)


def test_held_out_images_do_not_depend_on_valid_size(uncut):
    one, other = load("mnist", test_size=4), load("mnist", test_size=4, valid_size=2)
    assert_equal(one.test, other.test)
    np.testing.assert_array_equal(
        one.train.labels, [*other.train.labels, *other.valid.labels]
    )


def test_minus_one_takes_a_tenth(uncut):
    found = load("mnist", test_size=-1, valid_size=-1)
    assert [len(s.images) for s in (found.train, found.valid, found.test)] == [8, 1, 1]


@pytest.mark.parametrize("size", [0, 10, 11])
def test_a_test_part_of_none_or_all_is_refused(uncut, size):
    with pytest.raises(ValueError, match=r"^data\.test_size") as caught:
        load("mnist", test_size=size)
    assert str(caught.value) == (
        "data.test_size: must be 1 to 9 of mnist's 10 images, or -1 for a tenth, "
        f"got {size}"
    )


@pytest.mark.parametrize("binarize", data.BINARIZE)
def test_a_source_s_own_validation_images_are_taken_whole(
    ramp, monkeypatch, binarize, caplog
):
    own = ramp._replace(valid=Split(ramp.train.images[:3], ramp.train.labels[:3]))
    monkeypatch.setitem(loading.LOADERS, "mnist", lambda wanted: own)
    with caplog.at_level(logging.INFO, "vae_jax"):
        found = load("mnist", valid_size=5, binarize=binarize)
    assert [len(s.images) for s in (found.train, found.valid)] == [10, 3]
    assert "mnist: comes with its own validation images" in caplog.messages
    if binarize == "static":  # of randomness of their own
        assert (found.valid.images != found.train.images[:3]).any()


@pytest.mark.parametrize("binarize", ["threshold", "static"])
def test_floats_are_binarised_like_bytes(ramp, monkeypatch, binarize):
    def floats(split):
        return split._replace(images=(split.images / 255).astype(np.float32))

    raw = ramp._replace(train=floats(ramp.train), test=floats(ramp.test))
    monkeypatch.setitem(loading.LOADERS, "mnist", lambda wanted: raw)
    found = load("mnist", binarize=binarize)
    assert found.train.images.dtype == np.uint8
    np.testing.assert_array_equal(np.unique(found.train.images), [0, 255])
    if binarize == "threshold":
        np.testing.assert_array_equal(
            found.train.images == 255, ramp.train.images >= 128
        )
    assert load("mnist").train.images.dtype == np.float32  # never quantised
