"""The one door, ``data.load``: what every data set has in common."""

import logging

import numpy as np
import pytest

from vae_jax import data
from vae_jax.data import loading
from vae_jax.data.dataset import Raw, Split

DEFAULTS = {
    "directory": None,
    "valid_size": 0,
    "split_seed": 0,
    "binarize": "none",
    "limit": 0,
}


def load(name, **changes):
    return data.load(name, **{**DEFAULTS, **changes})


@pytest.fixture
def ramp(monkeypatch):
    """A set whose every byte occurs, under MNIST's name."""
    pixels = np.arange(10 * 256).astype(np.uint8).reshape(10, 16, 16, 1)
    labels = np.arange(10, dtype=np.int32)
    raw = Raw("memory", Split(pixels, labels), Split(pixels[:4], labels[:4]))
    monkeypatch.setitem(loading.LOADERS, "mnist", lambda directory, split_seed: raw)
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
    monkeypatch.setitem(loading.LOADERS, "mnist", lambda directory, split_seed: bare)
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
    other = load("mnist", binarize=binarize, valid_size=5, limit=2, split_seed=1)
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
    monkeypatch.setitem(loading.LOADERS, "mnist", lambda directory, split_seed: bad)
    with pytest.raises(TypeError, match="mnist test: images must be uint8"):
        load("mnist")


def test_the_sizes_are_said_on_the_console(ramp, caplog):
    with caplog.at_level(logging.INFO, "vae_jax"):
        load("mnist", valid_size=3)
    assert "mnist: 7 training, 3 validation, 4 test images" in caplog.messages


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "mnits"}, "data.name: must be one of mnist, digits, got 'mnits'"),
        (
            {"binarize": "yes"},
            "data.binarize: must be one of none, threshold, static, dynamic, got 'yes'",
        ),
        ({"limit": -1}, "data.limit: must be 0 or more, got -1"),
        ({"valid_size": -1}, "data.valid_size: must be 0 or more, got -1"),
        ({"split_seed": -1}, "data.split_seed: must be 0 or more, got -1"),
        (
            {"valid_size": 10},
            "data.valid_size: must leave one of mnist's 10 training images, got 10",
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
