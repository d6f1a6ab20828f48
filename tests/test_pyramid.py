"""Levels and weights against loops over pixels."""

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.models import pyramid

# image_shape, start_res, final_res: without padding, with one side padded, with
# padding that leaves whole cells empty, with one stage alone.
CASES = [
    ((8, 8, 1), 2, 8),
    ((7, 4, 1), 2, 8),
    ((5, 3, 3), 2, 8),
    ((2, 9, 2), 4, 16),
    ((3, 3, 1), 4, 4),
]
every_case = pytest.mark.parametrize(("shape", "start", "final"), CASES, ids=str)


def images(shape, num=2):
    return np.random.default_rng(0).random((num, *shape), np.float32)


def by_loops(x, grids, stage):
    """Means over true pixels, and shares of them, one pixel at a time."""
    cell = 2 ** (grids.num_stages - 1 - stage)
    height, width = (side * 2**stage for side in grids.base)
    top, left = (height * cell - x.shape[1]) // 2, (width * cell - x.shape[2]) // 2
    sums = np.zeros((len(x), height, width, x.shape[3]))
    counts = np.zeros((1, height, width, 1))
    for i, j in np.ndindex(x.shape[1:3]):
        row, column = (top + i) // cell, (left + j) // cell
        sums[:, row, column] += x[:, i, j]
        counts[:, row, column] += 1
    return sums / np.maximum(counts, 1), counts / cell**2


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((28, 28, 1), [(4, 4), (8, 8), (16, 16), (32, 32)]),
        ((28, 20, 1), [(4, 3), (8, 6), (16, 12), (32, 24)]),  # 20 to a multiple of 8
        ((20, 28, 3), [(3, 4), (6, 8), (12, 16), (24, 32)]),
        ((32, 1, 3), [(4, 1), (8, 2), (16, 4), (32, 8)]),
    ],
)
def test_every_grid_doubles_the_one_before_and_the_last_holds_the_image(
    shape, expected
):
    grids = pyramid.build(shape, 4, 32)
    assert [grids.grid(stage) for stage in range(grids.num_stages)] == expected


@every_case
def test_levels_are_means_over_true_pixels_and_weights_their_shares(
    shape, start, final
):
    x, grids = images(shape), pyramid.build(shape, start, final)
    levels = grids.levels(jnp.asarray(x))
    assert len(levels) == grids.num_stages
    for stage, level in enumerate(levels):
        means, shares = by_loops(x, grids, stage)
        assert level.dtype == grids.weight(stage).dtype == jnp.float32
        np.testing.assert_array_equal(grids.weight(stage), shares)
        np.testing.assert_allclose(level, means, rtol=1e-6)  # float32
        np.testing.assert_array_equal(
            level == 0, np.broadcast_to(shares == 0, means.shape)
        )


@every_case
def test_weighted_levels_add_up_to_the_image_at_every_stage(shape, start, final):
    x, grids = images(shape), pyramid.build(shape, start, final)
    for stage, level in enumerate(grids.levels(jnp.asarray(x))):
        pixels_per_cell = 4 ** (grids.num_stages - 1 - stage)
        total = (level * grids.weight(stage)).sum((1, 2)) * pixels_per_cell
        np.testing.assert_allclose(total, x.sum((1, 2)), rtol=1e-5)


@every_case
def test_the_crop_has_every_true_pixel_and_no_empty_cell(shape, start, final):
    grids = pyramid.build(shape, start, final)
    for stage in range(grids.num_stages):
        weight = jnp.asarray(grids.weight(stage))
        cropped = grids.crop(weight, stage)
        assert (cropped > 0).all()
        assert cropped.sum() == weight.sum()


@every_case
def test_the_crop_of_the_last_level_is_the_image(shape, start, final):
    x, grids = images(shape), pyramid.build(shape, start, final)
    last = grids.num_stages - 1
    np.testing.assert_array_equal(
        grids.crop(grids.levels(jnp.asarray(x))[last], last), x
    )
    assert (grids.crop(jnp.asarray(grids.weight(last)), last) == 1).all()


@every_case
def test_what_was_cropped_is_enlarged_to_the_pixels_that_it_stands_for(
    shape, start, final
):
    x, grids = images(shape), pyramid.build(shape, start, final)
    for stage, level in enumerate(grids.levels(jnp.asarray(x))):
        whole = level
        for _ in range(stage, grids.num_stages - 1):
            whole = pyramid.up(whole)
        expected = grids.crop(whole, grids.num_stages - 1)
        enlarged = grids.enlarge(grids.crop(level, stage), stage)
        np.testing.assert_array_equal(enlarged, expected)


@every_case
def test_up_and_down_again_changes_nothing_but_empty_cells(shape, start, final):
    grids = pyramid.build(shape, start, final)
    for stage in range(1, grids.num_stages):
        coarse = jnp.asarray(images((*grids.grid(stage - 1), 2)))
        again = grids.down(pyramid.up(coarse), stage)
        expected = np.where(grids.weight(stage - 1) > 0, coarse, 0.0)
        np.testing.assert_allclose(again, expected, rtol=1e-6)  # float32


def test_up_repeats_and_halve_averages():
    x = jnp.asarray(images((2, 3, 2)))
    doubled = np.kron(x, np.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(pyramid.up(x), doubled)
    y = jnp.asarray(images((4, 6, 2)))
    blocks = np.asarray(y).reshape(2, 2, 2, 3, 2, 2)
    np.testing.assert_allclose(pyramid.halve(y), blocks.mean(axis=(2, 4)), rtol=1e-6)


def test_an_odd_padding_has_its_extra_row_and_column_at_the_end():
    level = pyramid.build((5, 6, 1), 2, 8).levels(jnp.ones((1, 5, 6, 1)))[-1]
    rows, columns = jnp.nonzero(level[0, :, :, 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 5, 1, 6)


@pytest.mark.parametrize(("start", "final"), [(4, 24), (4, 30), (64, 32), (3, 32)])
def test_a_last_grid_that_is_not_the_first_one_doubled_is_refused(start, final):
    message = f"model.start_res, {start}, times a power of two, got {final}"
    with pytest.raises(ValueError, match=f"model.final_res: must be {message}"):
        pyramid.build((28, 20, 1), start, final)


def test_images_larger_than_the_last_grid_are_refused():
    message = (
        "model.final_res: must be at least 28, the longer side of the images, got 16"
    )
    with pytest.raises(ValueError, match=message):
        pyramid.build((20, 28, 1), 4, 16)
