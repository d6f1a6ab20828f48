"""Drawn shapes against what geometry says of them."""

import hashlib
import itertools
import math
import tracemalloc

import numpy as np
import pytest
from conftest import anything

from vae_jax import data
from vae_jax.data import shapes

SQUARE, ELLIPSE, HEART = range(3)
SIDE = 1 / (math.sqrt(0.5) * (1 + (math.pi / 8 + 1 / 6) / (1 + math.pi / 4)))
# In units of the radius that a shape reaches to: the square's diagonal is 2, the
# ellipse's half axes are 1 and 1/2, the heart is a square and two half discs.
AREAS = np.array([2.0, math.pi / 2, SIDE**2 * (1 + math.pi / 4)])


def load(count=10, **changes):
    return shapes.load(anything(num_images=count, **changes))


def draw(*rows, size=(32, 32)):
    """Grey images in [0, 1] of rows of (shape, scale, rotation, x, y)."""
    return shapes.draw(np.array(rows, np.int32), size)[..., 0] / 255


def grid(*levels):
    """Every combination."""
    return list(itertools.product(*levels))


def radius(scale, size):
    return 0.25 * min(size) * (0.5 + 0.1 * np.asarray(scale))


def test_a_seed_gives_the_same_shapes_at_every_call_and_another_seed_others():
    one, same, other = load(seed=0), load(seed=0), load(seed=1)
    np.testing.assert_array_equal(one.train.images, same.train.images)
    np.testing.assert_array_equal(one.train.labels, same.train.labels)
    assert (one.train.labels != other.train.labels).any()


def test_shapes_never_change_between_versions():
    # Recorded once, on numpy 2.4.
    raw = load(count=200, channels=3)
    digests = [hashlib.sha256(array).hexdigest()[:16] for array in raw.train]
    assert digests == ["83b3dc971a2eff63", "713bd88f340138d9"]


def test_grey_and_colour_and_all_sizes_are_of_the_same_scenes():
    grey, colour = load(), load(channels=3, image_size=(16, 24))
    assert grey.factors == ("shape", "scale", "rotation", "x", "y")
    assert colour.factors == (*grey.factors, "hue")
    np.testing.assert_array_equal(grey.train.labels, colour.train.labels[:, :5])
    assert grey.train.images.shape == (10, 32, 32, 1)
    assert colour.train.images.shape == (10, 16, 24, 3)
    assert grey.test is grey.valid is None


def test_more_shapes_begin_with_the_fewer():
    np.testing.assert_array_equal(load(10).train.images, load(30).train.images[:10])


def test_factors_are_uniform():
    count = 20_000
    labels = load(count, channels=3, image_size=(8, 8)).train.labels
    assert labels.dtype == np.int32
    for column, levels in zip(labels.T, shapes.LEVELS.values(), strict=True):
        p = 1 / levels
        counts = np.bincount(column, minlength=levels)
        assert len(counts) == levels
        # Five standard errors: 121 right levels fail one seed in about 14,000.
        assert np.abs(counts - count * p).max() < 5 * np.sqrt(count * p * (1 - p))


def test_factors_are_independent_of_each_other():
    count = 20_000
    labels = load(count, channels=3, image_size=(8, 8)).train.labels
    levels = tuple(shapes.LEVELS.values())
    for a, b in itertools.combinations(range(6), 2):
        cells = np.zeros((levels[a], levels[b]))
        np.add.at(cells, (labels[:, a], labels[:, b]), 1)
        expected = count / cells.size
        statistic = ((cells - expected) ** 2 / expected).sum()
        # Chi-square with uniform margins given: mean n, variance 2 n. Five of its
        # standard deviations.
        n = cells.size - 1
        assert abs(statistic - n) < 5 * np.sqrt(2 * n)


@pytest.mark.parametrize(("size", "tolerance"), [(16, 0.11), (32, 0.03), (64, 0.02)])
def test_areas_are_those_of_closed_forms_wherever_a_shape_is(size, tolerance):
    # The outermost places, too: a shape that were cut off would be smaller. The ramp
    # at the edge is exact along straight lines only, worst at corners: tolerance.
    rows = grid(range(3), range(6), range(0, 40, 3), (0, 15, 31), (0, 31))
    shape, scale = np.array(rows).T[:2]
    expected = AREAS[shape] * radius(scale, (size, size)) ** 2
    found = draw(*rows, size=(size, size)).sum(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=tolerance)


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (24, 40), (40, 24)])
def test_x_and_y_are_where_the_centre_of_mass_is(size):
    rows = grid(range(3), (0, 5), range(0, 40, 3), range(0, 32, 6), (0, 31))
    images = draw(*rows, size=size)
    x, y = np.array(rows).T[3:]
    near = 0.25 * min(size)
    for axis, (level, pixels) in enumerate(((y, size[0]), (x, size[1])), start=1):
        mass = images.sum(axis=3 - axis)
        centre = mass @ (np.arange(pixels) + 0.5) / mass.sum(axis=1)
        expected = near + level / 31 * (pixels - 2 * near)
        # A tenth of a pixel, from the ramp at the edge.
        np.testing.assert_allclose(centre, expected, atol=0.1)


def test_pixels_are_covered_as_in_a_picture_of_eight_times_the_size():
    rows = grid(range(3), (0, 3, 5), range(0, 40, 7), (0, 16), (31,))
    fine = draw(*rows, size=(256, 256)).reshape(-1, 32, 8, 32, 8).mean(axis=(2, 4))
    error = np.abs(draw(*rows) - fine)
    assert error.max() < 0.27  # a right angle that covers a quarter of a pixel
    assert error[error > 0].mean() < 0.03


def test_a_pixel_right_at_the_centre_is_covered():
    # A quarter of ten pixels is the centre of the third.
    images = draw(*grid(range(3), [5], [0], [0], [0]), size=(10, 10))
    np.testing.assert_array_equal(images[:, 2, 2], [1, 1, 1])


def test_a_square_is_the_same_after_a_quarter_turn_and_an_ellipse_after_a_half():
    for shape, period in ((SQUARE, 10), (ELLIPSE, 20)):
        one = draw(*grid([shape], [5], range(period), [9], [20]))
        other = draw(*grid([shape], [5], range(period, 2 * period), [9], [20]))
        np.testing.assert_array_equal(one, other)
        assert len(np.unique(one, axis=0)) == period


def test_every_turn_of_a_heart_is_another_picture():
    images = draw(*grid([HEART], [0], range(40), [16], [16]))
    assert len(np.unique(images, axis=0)) == 40


@pytest.mark.parametrize("shape", range(3))
def test_a_quarter_turn_is_counterclockwise(shape):
    # About the image's centre: x becomes what y was, and y what 31 - x was.
    before = draw(*grid([shape], [4], range(10), [7], [20]))
    after = draw(*grid([shape], [4], range(10, 20), [20], [24]))
    # A byte: the same numbers rounded at another place.
    np.testing.assert_allclose(np.rot90(before, axes=(1, 2)), after, atol=1.1 / 255)


def test_the_tip_of_a_heart_points_down_at_first():
    image = draw((HEART, 5, 0, 16, 16), size=(64, 64))[0]
    widths = (image > 0.5).sum(axis=1)
    rows = np.flatnonzero(widths)
    assert widths[rows[-2]] < 5 < widths[rows[1]]


def test_hues_go_around_the_circle_from_red():
    rows = np.array([(SQUARE, 5, 0, 16, 16, hue) for hue in range(8)], np.int32)
    found = shapes.draw(rows, (32, 32))
    # HSV with saturation 0.8 and value 1: channels from 0.2 to 1. 45 degrees are three
    # quarters of the way from red to yellow, so green is 0.2 + 0.75 x 0.8 there.
    expected = [(255, 51, 51), (255, 204, 51), (153, 255, 51), (51, 255, 102)]
    expected += [(51, 255, 255), (51, 102, 255), (153, 51, 255), (255, 51, 204)]
    np.testing.assert_array_equal(found[:, 16, 16], expected)
    assert not found[:, 0].any()


def test_colour_is_the_grey_picture_times_its_hue():
    raw = load(50, channels=3)
    colour = shapes.HUES[raw.train.labels[:, 5], None, None]
    grey = shapes.draw(raw.train.labels[:, :5], (32, 32))
    # Half a byte each for two roundings.
    np.testing.assert_allclose(raw.train.images, grey * colour, atol=1.01)


@pytest.mark.parametrize("channels", [1, 3])
def test_pieces_do_not_change_the_pictures(monkeypatch, channels):
    whole = load(100, channels=channels, image_size=(16, 24)).train.images
    for chunk in (1, 7 * 16 * 24):
        monkeypatch.setattr(shapes, "CHUNK", chunk)
        some = load(100, channels=channels, image_size=(16, 24)).train.images
        np.testing.assert_array_equal(whole, some)


def test_the_memory_in_use_is_bounded(monkeypatch):
    monkeypatch.setattr(shapes, "CHUNK", 1 << 16)
    tracemalloc.start()
    images = load(5000, channels=3).train.images
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < images.nbytes + 64 * shapes.CHUNK  # floats at work


def test_the_door_cuts_shapes_and_keeps_the_names_of_their_factors():
    found = data.load(
        "shapes",
        anything(num_images=50),
        valid_size=10,
        test_size=-1,
        binarize="none",
        limit=0,
    )
    parts = found.train, found.valid, found.test
    assert [s.images.shape for s in parts] == [(n, 32, 32, 1) for n in (35, 10, 5)]
    assert [s.labels.shape for s in parts] == [(n, 5) for n in (35, 10, 5)]
    assert found.factors == ("shape", "scale", "rotation", "x", "y")


@pytest.mark.parametrize("size", [(7, 32), (32, 7)])
def test_images_too_small_for_shapes_are_refused(size):
    with pytest.raises(ValueError, match=r"^data\.image_size") as caught:
        load(image_size=size)
    assert str(caught.value) == (
        "data.image_size: must be at least 8,8 for data.name=shapes, "
        f"got {size[0]},{size[1]}"
    )
