"""The kernel distance against plain loops, closed forms and torch-fidelity."""

import numpy as np
import pytest

from vae_jax.distances import kid

RNG = np.random.default_rng(0)


def mmd2_by_loops(x, y):
    """The unbiased estimator, one pair after the other, for any two numbers of rows."""

    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def within(rows):
        n = len(rows)
        pairs = [k(rows[i], rows[j]) for i in range(n) for j in range(n) if i != j]
        return sum(pairs) / (n * (n - 1))

    across = [k(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(across) / len(across)


def draw(rng, n, shift=0.0):
    """``n`` rows of six Gaussian features."""
    return rng.normal(size=(n, 6)) * (1 + shift) + shift


def test_kid_of_all_images_is_that_of_a_plain_double_loop():
    x, y = draw(RNG, 9), draw(RNG, 9, 0.5)
    got = kid(x, y, seed=0)
    assert (got.subsets, got.subset_size) == (1, 9)
    assert got.value == pytest.approx(mmd2_by_loops(x, y), rel=1e-12)


def test_its_standard_error_is_the_jackknife_over_the_images_of_both_sides():
    x, y = draw(RNG, 9), draw(RNG, 9, 0.5)
    left_out = [
        [mmd2_by_loops(np.delete(x, i, axis=0), y) for i in range(9)],
        [mmd2_by_loops(x, np.delete(y, i, axis=0)) for i in range(9)],
    ]
    # (n - 1) / n times the sum of squares about the mean, for each side
    expected = np.sqrt(sum(8 * np.var(values) for values in left_out))
    assert kid(x, y, seed=0).standard_error == pytest.approx(expected, rel=1e-10)


def test_sets_without_spread_are_as_far_apart_as_the_kernel_says():
    got = kid(np.zeros((4, 2)), np.ones((4, 2)), seed=0)
    # k(0, 0) + k(1, 1) - 2 k(0, 1) = 1 + (2 / 2 + 1)^3 - 2; no image matters more
    assert got.value == 7
    assert got.standard_error == 0


def test_kid_is_that_of_torch_fidelity():
    rng = np.random.default_rng(2024)
    real, fake = rng.normal(size=(60, 8)), 0.8 * rng.normal(size=(50, 8)) + 0.3
    # torch-fidelity 0.4.0, kid_features_to_metric: one subset of 50, poly, degree 3,
    # gamma None (1 / D), coef0 1
    expected = 0.3795680703697695
    assert kid(real[:50], fake, seed=0).value == pytest.approx(expected, rel=1e-13)


def test_float32_features_count_in_float64():
    x, y = (s.astype(np.float32) for s in (draw(RNG, 40), draw(RNG, 40, 0.2)))
    exact = kid(x.astype(np.float64), y.astype(np.float64), seed=0)
    assert kid(x, y, seed=0) == exact


def test_kid_is_zero_on_average_for_equal_distributions():
    values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        got = kid(draw(rng, 30), draw(rng, 20), seed, subsets=3, subset_size=10)
        values.append(got.value)
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    # Counting each image as its own pair would add 2 E[k(x, x) - k(x, x')] / 10. Here
    # x.x / 6 has the moments 1, 4/3 and 20/9, and x.x' / 6 has 0, 1/6 and 0.
    biased_by = 2 * ((20 / 9 + 3 * 4 / 3 + 3 + 1) - (3 / 6 + 1)) / 10
    assert biased_by > 50 * error


@pytest.mark.parametrize("shift", [0.0, 0.3])
@pytest.mark.parametrize(
    ("n", "m", "subsets", "subset_size"),
    [(80, 80, 1, 80), (300, 200, 40, 50), (300, 50, 40, 50)],
)
def test_the_standard_error_is_what_other_images_change(
    n, m, subsets, subset_size, shift
):
    found = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        sides = draw(rng, n), draw(rng, m, shift)
        found.append(kid(*sides, seed, subsets, subset_size))
    scatter = np.std([one.value for one in found], ddof=1)
    said = np.sqrt(np.mean([one.standard_error**2 for one in found]))
    # A scatter over 100 sets is known to 7 %, and the jackknife errs upwards: most
    # where the sides are equal and only its terms of second order are left.
    assert 0.8 < said / scatter < (1.75 if shift == 0 else 1.4)


def test_with_fewer_images_than_asked_subsets_take_as_many_as_both_sides_have():
    got = kid(draw(RNG, 30), draw(RNG, 20), seed=0)
    assert (got.subsets, got.subset_size) == (100, 20)
    many = kid(draw(RNG, 1100), draw(RNG, 1200), seed=0, subsets=2)
    assert (many.subsets, many.subset_size) == (2, 1000)


def test_subsets_are_drawn_without_replacement():
    # Orthogonal rows, and zeros: k is 1 for every pair, so the distance is 1 + 1 - 2. A
    # row that came twice would be a pair with k = (100 / 20 + 1)^3.
    got = kid(10 * np.eye(20), np.zeros((20, 20)), seed=0, subsets=3, subset_size=15)
    assert got.value == 0


def test_the_seed_decides_the_subsets():
    x, y = draw(RNG, 60), draw(RNG, 60)
    assert kid(x, y, 1, 5, 20) == kid(x, y, 1, 5, 20)
    assert kid(x, y, 1, 5, 20) != kid(x, y, 2, 5, 20)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fake": np.zeros((2, 2))}, "^kid: fake must have at least 3 rows, got 2$"),
        (
            {"fake": np.zeros((3, 1))},
            "^kid: both must have the same number of features, got real 2, fake 1$",
        ),
        (
            {"real": np.full((4, 2), np.nan)},
            "^kid: real must be finite, got NaN or infinity in 4 of 4 rows$",
        ),
        ({"subsets": 0}, "^kid: subsets must be at least 1, got 0$"),
        ({"subset_size": 2}, "^kid: subset_size must be at least 3, got 2$"),
    ],
)
def test_what_has_no_kernel_distance_is_refused(changes, message):
    good = {"real": np.zeros((4, 2)), "fake": np.zeros((4, 2)), "seed": 0}
    with pytest.raises(ValueError, match=message):
        kid(**(good | changes))
