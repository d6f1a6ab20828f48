"""Precision, recall, density and coverage against loops and the prdc package."""

import numpy as np
import pytest

from vae_jax.distances import Prdc, prdc

RNG = np.random.default_rng(0)


def column(*values):
    return np.array(values, float)[:, None]


def by_loops(real, fake, k):
    def radius(rows, i):
        others = np.delete(rows, i, axis=0)
        return sorted(np.square(others - rows[i]).sum(axis=1))[k - 1]

    near = np.array([[np.square(r - f).sum() for f in fake] for r in real])
    in_real = near <= np.array([[radius(real, i)] for i in range(len(real))])
    in_fake = near <= np.array([radius(fake, j) for j in range(len(fake))])
    return Prdc(
        precision=in_real.any(axis=0).mean(),
        recall=in_fake.any(axis=1).mean(),
        density=in_real.sum() / (k * len(fake)),
        coverage=in_real.any(axis=1).mean(),
    )


def test_prdc_of_five_points_on_a_line_is_that_of_a_drawing():
    # Radii for k = 1: real 0, 1, 3 have 1, 1, 2; generated 2, 10 have 8, 8. The 2 is on
    # the edge of the ball of 1 and within that of 3; the 10 is in none. The ball of 2
    # holds all real points.
    got = prdc(column(0, 1, 3), column(2, 10), k=1)
    assert got == Prdc(precision=1 / 2, recall=1, density=1, coverage=2 / 3)


@pytest.mark.parametrize("k", [1, 3, 17])
def test_prdc_is_that_of_plain_loops(k):
    real, fake = RNG.normal(size=(200, 4)), 0.6 * RNG.normal(size=(150, 4)) + 0.5
    np.testing.assert_allclose(prdc(real, fake, k), by_loops(real, fake, k), rtol=1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_prdc_is_that_of_plain_loops_among_copies_and_ties(k):
    # Small integers: every distance is exact, and many are equal.
    real = RNG.integers(0, 6, (40, 3)).astype(float)
    fake = RNG.integers(2, 9, (30, 3)).astype(float)
    np.testing.assert_allclose(prdc(real, fake, k), by_loops(real, fake, k), rtol=1e-12)


@pytest.mark.parametrize(
    ("k", "expected"),
    [  # prdc 0.2, compute_prdc; torch-fidelity 0.4.0 has the same first two
        (3, (0.92, 0.6, 1.2533333333333332, 0.8333333333333334)),
        (5, (1.0, 0.7166666666666667, 1.3, 0.9166666666666666)),
    ],
)
def test_prdc_without_ties_is_that_of_the_prdc_package(k, expected):
    rng = np.random.default_rng(2024)
    real, fake = rng.normal(size=(60, 8)), 0.8 * rng.normal(size=(50, 8)) + 0.3
    np.testing.assert_allclose(prdc(real, fake, k), expected, rtol=1e-12)


def test_five_neighbours_count_unless_told_otherwise():
    real, fake = RNG.normal(size=(30, 2)), RNG.normal(size=(30, 2))
    assert prdc(real, fake) == prdc(real, fake, 5) != prdc(real, fake, 4)


def test_a_set_is_within_itself():
    # Powers of two have no two neighbours at one distance, so each ball holds k others
    # and its own centre: (k + 1) / k in density.
    points = column(*(2.0**i for i in range(12)))
    assert prdc(points, points, k=4) == Prdc(1, 1, 5 / 4, 1)


def test_sets_far_apart_have_nothing_in_common():
    near = RNG.normal(size=(20, 3))
    assert prdc(near, near + 1e3) == Prdc(0, 0, 0, 0)


def test_one_image_over_and_over_is_precise_and_covers_little():
    # Six copies of the 3: their balls have radius 0 and hold that real point alone. The
    # real radii are 1 for k = 1, so the balls of 2, 3 and 4 hold it.
    got = prdc(column(*range(10)), column(*[3] * 6), k=1)
    assert got == Prdc(precision=1, recall=1 / 10, density=3, coverage=3 / 10)


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_in_each_other_s_balls_in_spite_of_rounding(seed):
    # Sizes at which BLAS rounds the same product in more than one way.
    rng = np.random.default_rng(seed)
    real = rng.normal(size=(101, 784)) + 5
    got = prdc(real, rng.permutation(np.repeat(real[:16], 6, axis=0)))
    assert (got.precision, got.recall) == (1, 16 / 101)


def test_exchanging_the_sets_exchanges_precision_and_recall():
    real, fake = RNG.normal(size=(50, 4)), 0.5 * RNG.normal(size=(40, 4))
    there, back = prdc(real, fake), prdc(fake, real)
    assert (there.precision, there.recall) == (back.recall, back.precision)
    assert there.precision != there.recall


@pytest.mark.parametrize("chunk", [1, 7, 40, 41])
def test_the_size_of_a_chunk_changes_nothing(chunk):
    real, fake = RNG.normal(size=(40, 4)), 0.7 * RNG.normal(size=(33, 4))
    assert prdc(real, fake, 3, chunk) == prdc(real, fake, 3)


def test_float32_features_count_in_float64():
    # Around 1,000 the squares lose the distances in float32.
    real, fake = (
        (RNG.normal(size=(40, 4)) + 1000).astype(np.float32) for _ in range(2)
    )
    exact = prdc(real.astype(np.float64), fake.astype(np.float64))
    assert prdc(real, fake) == exact == by_loops(real - 1000, fake - 1000, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fake": np.zeros((5, 2))}, "^prdc: fake must have at least 6 rows, got 5$"),
        ({"real": np.zeros((5, 2))}, "^prdc: real must have at least 6 rows, got 5$"),
        (
            {"fake": np.zeros((6, 1))},
            "^prdc: both must have the same number of features, got real 2, fake 1$",
        ),
        (
            {"real": np.full((6, 2), np.inf)},
            "^prdc: real must be finite, got NaN or infinity in 6 of 6 rows$",
        ),
        ({"k": 0}, "^prdc: k must be at least 1, got 0$"),
        ({"chunk": 0}, "^prdc: chunk must be at least 1, got 0$"),
    ],
)
def test_what_has_no_neighbours_is_refused(changes, message):
    good = {"real": np.zeros((6, 2)), "fake": np.zeros((6, 2)), "k": 5}
    with pytest.raises(ValueError, match=message):
        prdc(**(good | changes))
