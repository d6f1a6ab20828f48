"""Tiles of outputs against sums over taps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vae_jax.models import toom_cook

VALID = [(m, r) for m in range(1, 9) for r in range(1, 9) if m + r <= 9]


@pytest.mark.parametrize(("outputs", "taps"), VALID)
def test_transforms_correlate(outputs, taps):
    rng = np.random.default_rng(0)
    a = toom_cook.transforms(outputs, taps)
    inputs = rng.standard_normal(outputs + taps - 1)
    kernel = rng.standard_normal(taps)
    found = a.outputs @ ((a.kernel @ kernel) * (a.inputs @ inputs))
    # float64: sums of a few numbers with factors of at most 10.
    np.testing.assert_allclose(found, np.correlate(inputs, kernel), rtol=0, atol=1e-12)


def test_transforms_of_two_outputs_of_two_taps_are_karatsubas():
    # (d0 - d1) g0, d1 (g0 + g1) and (d2 - d1) g1, by hand.
    found = toom_cook.transforms(2, 2)
    np.testing.assert_array_equal(
        np.abs(found.inputs), [[1, 1, 0], [0, 1, 0], [0, 1, 1]]
    )
    np.testing.assert_array_equal(np.abs(found.kernel), [[1, 0], [1, 1], [0, 1]])
    np.testing.assert_array_equal(np.abs(found.outputs), [[1, 1, 0], [0, 1, 1]])


@pytest.mark.parametrize(("outputs", "taps"), [(5, 5), (0, 3), (3, 0), (1, 9)])
def test_more_than_the_points_are_refused(outputs, taps):
    with pytest.raises(ValueError, match=f"at most 9 together, got {outputs} and"):
        toom_cook.transforms(outputs, taps)


@pytest.mark.parametrize(
    ("length", "taps", "rows", "cols"),
    [
        (32, 3, 4, 4),
        (9, 2, 3, 3),  # 3 of 4 products; of 4 they are 3 of 5, and of 5, 2 of 6
        (5, 2, 5, 5),
        (7, 2, 4, 7),  # 8 in 10; with points enough, 7 in 8
        (17, 2, 3, 6),
        (7, 3, 4, 4),  # 8 in 12; with 2, 8 in 16
        (8, 5, 2, 4),
        (8, 1, 1, 1),
        (1, 3, 1, 1),
        (28, 6, 1, 3),
        (28, 7, 1, 2),
    ],
)
def test_a_tile_takes_the_least_products(length, taps, rows, cols):
    assert toom_cook.best_tile((length,) * 2, (taps,) * 2) == (rows, cols)

    def products(m):
        return -(-length // m) * (m + taps - 1)

    for tile, most in ((rows, 7), (cols, 9)):
        allowed = range(1, max(most - taps, 1) + 1)
        assert products(tile) == min(map(products, allowed)) <= length * taps


@pytest.mark.parametrize(
    ("size", "taps", "tile"),
    [
        ((4, 4), (3, 3), (4, 4)),
        ((9, 5), (2, 3), (4, 2)),
        ((5, 8), (5, 2), (2, 5)),
        ((2, 3), (4, 4), (3, 3)),  # inputs of a tile reach beyond the next one
        ((3, 7), (1, 3), (1, 4)),
        ((7, 7), (2, 2), (4, 7)),
        ((7, 13), (3, 3), (6, 6)),
    ],
)
def test_value_and_gradients_equal_those_of_lax(size, taps, tile):
    rng = np.random.default_rng(0)
    numbers = [
        rng.standard_normal(shape)
        for shape in (
            (2, size[0] + taps[0] - 1, size[1] + taps[1] - 1, 3),
            (*taps, 3, 4),
            (2, *size, 4),
        )
    ]

    def both(x, kernel, cotangent):
        plain = functools.partial(
            lax.conv_general_dilated,
            window_strides=(1, 1),
            padding="VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        ours = functools.partial(toom_cook.correlate, tile=tile)
        found = []
        for form in (ours, plain):
            y, pullback = jax.vjp(form, x, kernel)
            found.append((y, *pullback(cotangent)))
        return found

    with jax.enable_x64(True):
        ours, plain = jax.jit(both)(*map(jnp.asarray, numbers))
        for actual, desired in zip(ours, plain, strict=True):
            assert actual.dtype == jnp.float64
            # Sums of at most 90 products, with factors of at most a hundred.
            np.testing.assert_allclose(actual, desired, rtol=0, atol=1e-11)


def test_tiles_take_a_quarter_of_the_products_and_so_do_their_gradients():
    def products(form):
        """Of all matrix products in the gradients of both arguments."""
        x, kernel = jnp.ones((2, 10, 10, 5)), jnp.ones((3, 3, 5, 7))
        jaxpr = jax.make_jaxpr(jax.grad(lambda *a: form(*a).sum(), (0, 1)))(x, kernel)
        dots = [e for e in jaxpr.eqns if e.primitive.name == "dot_general"]
        return sum(
            e.outvars[0].aval.size
            * np.prod(
                [e.invars[0].aval.shape[i] for i in e.params["dimension_numbers"][0][0]]
            )
            for e in dots
        )

    tiled = products(
        lambda x, kernel: jnp.square(toom_cook.correlate(x, kernel, (4, 4)))
    )
    assert 4 * tiled == 3 * 2 * 8 * 8 * 9 * 5 * 7
