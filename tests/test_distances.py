"""The Fréchet distance against closed forms, other routes and other packages."""

import numpy as np
import pytest
from scipy import stats

from vae_jax import distances
from vae_jax.distances import Moments, frechet, frechet_distance, moments
from vae_jax.distances.features import check

RNG = np.random.default_rng(0)


def gaussian(mean, covariance):
    return Moments(np.asarray(mean, float), np.asarray(covariance, float), 1_000_000)


def rotation(size):
    return np.linalg.qr(RNG.normal(size=(size, size)))[0]


def test_moments_agree_with_numpy_when_they_are_summed_in_several_pieces():
    features = RNG.normal(size=(2 * frechet.ROWS + 1, 3)) @ RNG.normal(size=(3, 3))
    got = moments(features)
    np.testing.assert_allclose(got.mean, features.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(got.covariance, np.cov(features.T, ddof=1), rtol=1e-10)
    assert got.n == 2 * frechet.ROWS + 1


def test_moments_of_float32_features_are_those_of_the_same_numbers_in_float64():
    # In float32 the squares of 1e4 would have lost all digits of a variance of 1.
    features = (RNG.normal(size=(500, 4)) + 1e4).astype(np.float32)
    got, expected = moments(features), moments(features.astype(np.float64))
    assert got.covariance.dtype == np.float64
    np.testing.assert_allclose(got.mean, expected.mean, rtol=1e-15)
    np.testing.assert_allclose(got.covariance, expected.covariance, rtol=1e-9)


@pytest.mark.parametrize(("n", "full"), [(3, False), (4, False), (5, True)])
def test_a_covariance_has_full_rank_only_with_more_images_than_features(n, full):
    got = moments(RNG.normal(size=(n, 4)))
    assert got.full_rank is full
    assert np.linalg.matrix_rank(got.covariance) == (4 if full else n - 1)


@pytest.mark.parametrize("n", [2, 5, 30, 400])
def test_a_set_has_no_distance_from_itself(n):
    own = moments(10 * RNG.normal(size=(n, 30)))
    # rounding of sums that reach 3,000
    assert 0 <= frechet_distance(own, own) < 1e-11


def test_sets_without_any_spread_are_as_far_apart_as_their_points():
    a, b = moments(np.zeros((3, 2))), moments(np.tile([3.0, 4.0], (5, 1)))
    assert frechet_distance(a, a) == 0
    assert frechet_distance(a, b) == 25  # 3^2 + 4^2


def test_equal_covariances_leave_the_squared_distance_of_the_means():
    features = RNG.normal(size=(50, 5)) @ RNG.normal(size=(5, 5))
    shift = np.array([1.0, -2.0, 0.5, 0.0, 3.0])  # squares sum to 14.25
    got = frechet_distance(moments(features), moments(features + shift))
    assert got == pytest.approx(14.25, rel=1e-12)


def test_diagonal_gaussians_differ_by_their_means_and_standard_deviations():
    a = gaussian([0, 1, 2], np.diag([1.0, 4.0, 9.0]))
    b = gaussian([1, 1, 0], np.diag([4.0, 4.0, 0.25]))
    # means 1 + 0 + 4; deviations (1 - 2)^2 + (2 - 2)^2 + (3 - 0.5)^2
    assert frechet_distance(a, b) == pytest.approx(5 + 1 + 6.25, rel=1e-14)


def test_covariances_that_do_not_commute_agree_with_the_closed_form_of_two_features():
    c, d = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[5.0, -2.0], [-2.0, 1.0]])
    # The eigenvalues p, q of C D have (sqrt p + sqrt q)^2 = tr C D + 2 sqrt(det C D).
    overlap = np.sqrt(np.trace(c @ d) + 2 * np.sqrt(np.linalg.det(c @ d)))
    expected = np.trace(c) + np.trace(d) - 2 * overlap
    got = frechet_distance(gaussian([0, 0], c), gaussian([0, 0], d))
    assert got == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize(
    ("variances_a", "variances_b", "expected"),
    [
        ([4, 0, 0], [9, 0, 0], 1),  # (2 - 3)^2 on the one axis that both have
        ([4, 0, 0], [0, 9, 0], 13),  # nothing in common: 4 + 9
        ([4, 1, 0], [1, 1, 1], 2),  # (2 - 1)^2 + 0 + 1
        ([0, 0, 0], [1, 2, 3], 6),  # a point and a cloud: the cloud's variance
    ],
)
def test_singular_covariances_have_a_distance(
    variances_a, variances_b, expected, rotated
):
    turn = rotation(3) if rotated else np.eye(3)
    a = gaussian(np.zeros(3), turn @ np.diag(variances_a) @ turn.T)
    b = gaussian(np.zeros(3), turn @ np.diag(variances_b) @ turn.T)
    # What remains of a variance of 0 after the rotation is dropped as rounding: a root
    # of it would be off by 1e-8.
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("n", "m"), [(5, 7), (5, 300), (300, 7)])
def test_fewer_images_than_features_give_the_distance_of_the_thin_factors(n, m):
    x, y = RNG.normal(size=(n, 40)), 2 * RNG.normal(size=(m, 40)) + 1
    # tr (C_x C_y)^(1/2) is the sum of the singular values of X Y^T for centred X and Y
    # with C_x = X^T X and C_y = Y^T Y: no covariance is formed.
    thin_x = (x - x.mean(axis=0)) / np.sqrt(n - 1)
    thin_y = (y - y.mean(axis=0)) / np.sqrt(m - 1)
    overlap = np.linalg.svd(thin_x @ thin_y.T, compute_uv=False).sum()
    expected = np.square(x.mean(axis=0) - y.mean(axis=0)).sum() - 2 * overlap
    expected += np.square(thin_x).sum() + np.square(thin_y).sum()
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(expected, 1e-12)


def test_the_distance_is_symmetric_and_blind_to_rotations_and_shifts():
    x, y = RNG.normal(size=(60, 6)), RNG.normal(size=(40, 6)) @ RNG.normal(size=(6, 6))
    turn, shift = rotation(6), RNG.normal(size=6)
    got = frechet_distance(moments(x), moments(y))
    assert frechet_distance(moments(y), moments(x)) == pytest.approx(got, rel=1e-12)
    moved = moments(x @ turn + shift), moments(y @ turn + shift)
    assert frechet_distance(*moved) == pytest.approx(got, rel=1e-12)


def test_the_distance_is_that_of_pytorch_fid_and_torch_fidelity():
    rng = np.random.default_rng(2024)
    real, fake = rng.normal(size=(60, 8)), 0.8 * rng.normal(size=(50, 8)) + 0.3
    got = frechet_distance(moments(real), moments(fake))
    # pytorch-fid 0.3.0, calculate_frechet_distance of means and np.cov: ...902504
    # torch-fidelity 0.4.0, fid_statistics_to_metric: ...902468
    assert got == pytest.approx(1.5145157896902504, rel=1e-13)


STANDARD = gaussian(np.zeros(8), np.eye(8))


def fake_images(seed, n=200):
    return np.random.default_rng(seed).normal(size=(n, 8))


@pytest.mark.parametrize(
    ("n", "first"),
    [(120, 16), (400, 40)],  # 2 D is more; a tenth is more
)
def test_subsets_run_from_a_tenth_or_twice_the_features_to_all_images(n, first):
    got = distances.frechet_infinity(STANDARD, fake_images(0, n), seed=0, points=5)
    assert list(got.sizes) == [int(first + i * (n - first) / 4) for i in range(5)]
    whole = frechet_distance(STANDARD, moments(fake_images(0, n)))
    assert got.distances[-1] == pytest.approx(whole, rel=1e-12)


def test_the_extrapolation_is_the_intercept_of_a_least_squares_line_over_1_by_n():
    got = distances.frechet_infinity(STANDARD, fake_images(1), seed=0)
    line = stats.linregress(1 / got.sizes, got.distances)
    assert len(got.sizes) == 15
    assert got.value == pytest.approx(line.intercept, rel=1e-9)
    assert got.fit_error == pytest.approx(line.intercept_stderr, rel=1e-9)


def test_extrapolation_takes_away_nine_tenths_of_the_bias():
    # Both sides are the same Gaussian, so the distance is 0 and all else is bias.
    sets = [fake_images(seed) for seed in range(100)]
    plain = [frechet_distance(STANDARD, moments(fake)) for fake in sets]
    values = [distances.frechet_infinity(STANDARD, s, seed=0).value for s in sets]
    bias, error = np.mean(plain), np.std(values, ddof=1) / 10
    assert bias > 20 * error  # or the next line would say nothing
    # A tenth of the bias, and four standard errors of the mean over 100 sets.
    assert abs(np.mean(values)) < 0.1 * bias + 4 * error


def test_the_seed_decides_the_subsets():
    def run(seed):
        return distances.frechet_infinity(STANDARD, fake_images(2), seed=seed)

    np.testing.assert_array_equal(run(3).distances, run(3).distances)
    assert (run(3).distances != run(4).distances)[:-1].all()  # the last takes all


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros(3), r"^f: a must be \[N, D\], D at least 1, got shape \(3,\)$"),
        (np.zeros((3, 0)), r"^f: a must be \[N, D\], D at least 1, got .*\(3, 0\)$"),
        (np.zeros((1, 3)), r"^f: a must have at least 2 rows, got 1$"),
        (
            np.array([[np.nan, np.inf], [0, 0], [0, -np.inf]]),
            r"^f: a must be finite, got NaN or infinity in 2 of 3 rows$",
        ),
        (
            np.zeros((2, 3)),
            r"^f: both must have the same number of features, got a 3, b 2$",
        ),
    ],
)
def test_features_without_a_distance_are_refused(features, message):
    with pytest.raises(ValueError, match=message):
        check("f", 2, a=features, b=np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: moments(np.zeros((1, 2))),
            "^moments: features must have at least 2 rows, got 1$",
        ),
        (
            lambda: frechet_distance(STANDARD, moments(np.zeros((2, 3)))),
            "^frechet_distance: both must have the same number of features, "
            "got 8 and 3$",
        ),
        (
            lambda: distances.frechet_infinity(STANDARD, np.zeros((9, 3)), 0),
            "^frechet_infinity: both must have the same number .*, got 8 and 3$",
        ),
        (
            lambda: distances.frechet_infinity(STANDARD, np.zeros((31, 8)), 0),
            "^frechet_infinity: fake must have at least 4 rows for each of 8 features, "
            "got 31$",
        ),
        (
            lambda: distances.frechet_infinity(STANDARD, np.zeros((32, 8)), 0, 2),
            "^frechet_infinity: points must be at least 3, got 2$",
        ),
        (
            lambda: distances.frechet_infinity(STANDARD, np.full((32, 8), np.nan), 0),
            "^frechet_infinity: fake must be finite, got NaN or infinity in 32 of 32",
        ),
    ],
)
def test_what_has_no_frechet_distance_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
