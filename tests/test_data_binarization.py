"""Grey to black and white."""

import hashlib

import numpy as np

from vae_jax.data import binarization


def test_threshold_turns_white_at_128():
    grey = np.array([0, 127, 128, 255], np.uint8)
    np.testing.assert_array_equal(binarization.threshold(grey), [0, 0, 255, 255])


def test_sample_is_certain_at_both_ends():
    ends = np.array([0, 255], np.uint8).repeat(10_000)
    np.testing.assert_array_equal(binarization.sample(ends, 0), ends)


def test_sample_is_white_with_probability_v_over_255():
    count = 20_000
    grey = np.arange(256, dtype=np.uint8).repeat(count)
    rate = (binarization.sample(grey, 0) == 255).reshape(256, count).mean(axis=1)
    p = np.arange(256) / 255
    error = np.sqrt(p * (1 - p) / count)
    # Five standard errors: 254 right rates fail one seed in about 7,000.
    assert (np.abs(rate - p) <= 5 * error).all()


def test_sample_is_the_same_at_every_call_and_another_in_every_stream():
    grey = np.full(1000, 128, np.uint8)
    one = binarization.sample(grey, 0)
    np.testing.assert_array_equal(one, binarization.sample(grey, 0))
    assert (one != binarization.sample(grey, 1)).any()


def test_sample_never_changes_between_versions():
    # Recorded once, on numpy 2.4: results on static data are compared across years.
    grey = np.arange(256, dtype=np.uint8)
    digest = hashlib.sha256(binarization.sample(grey, 0)).hexdigest()
    assert digest[:16] == "7312ffe11aa14bb1"


def test_floats_are_white_with_probability_their_value():
    count = 20_000
    grey = np.linspace(0, 1, 11, dtype=np.float32).repeat(count)
    rate = (binarization.sample(grey, 0) == 255).reshape(11, count).mean(axis=1)
    p = np.linspace(0, 1, 11)
    # Five standard errors: nine right rates fail one seed in about 200,000.
    assert (np.abs(rate - p) <= 5 * np.sqrt(p * (1 - p) / count)).all()


def test_threshold_turns_floats_white_at_a_half():
    grey = np.array([0, 0.49, 0.5, 1], np.float32)
    np.testing.assert_array_equal(binarization.threshold(grey), [0, 0, 255, 255])
