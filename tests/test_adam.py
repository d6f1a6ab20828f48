"""Adam: optax's, but for steps that are left out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax.adam import adam

SHAPES = {"w": (5, 3), "b": (3,), "log_sigma": ()}


def tree(seed):
    rng = np.random.default_rng(seed)
    # Gradients of all sizes
    return {
        name: jnp.float32(rng.normal(size=shape) * 10.0 ** rng.uniform(-6, 3))
        for name, shape in SHAPES.items()
    }


def same(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def close(left, right, **tolerance):
    def compare(a, b):
        np.testing.assert_allclose(a, b, **tolerance)

    jax.tree.map(compare, left, right)


@pytest.mark.parametrize("eps", [1e-8, 1e-2])
def test_steps_that_are_not_left_out_are_optax_s(eps):
    ours, theirs = adam(eps), optax.scale_by_adam(eps=eps)
    state, expected_state = ours.init(tree(0)), theirs.init(tree(0))
    same(state, expected_state)
    assert jax.tree.structure(state) == jax.tree.structure(expected_state)
    update = jax.jit(ours.update)
    for seed in range(1, 30):
        found, state = update(tree(seed), state, ok=jnp.bool_(True))
        expected, expected_state = theirs.update(tree(seed), expected_state)
        # 1 - 0.999^n in float32 has four digits in the first steps. What is absolute is
        # of directions near 1, and of gradients up to 1e3, that cancel.
        close(found, expected, rtol=1e-4, atol=1e-7)
        close(state, expected_state, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, 1e30])
@pytest.mark.parametrize("before", [0, 3])
def test_a_step_that_is_left_out_leaves_no_trace(bad, before):
    tx, update = adam(1e-8), jax.jit(adam(1e-8).update)
    state = tx.init(tree(0))
    for seed in range(before):
        _, state = update(tree(seed), state, ok=jnp.bool_(True))
    grads = jax.tree.map(lambda g: jnp.full_like(g, bad), tree(0))
    direction, after = update(grads, state, ok=jnp.bool_(False))
    same(after, state)
    assert after.count == before
    assert all(jnp.isfinite(d).all() for d in jax.tree.leaves(direction))


def test_a_step_counts_unless_it_is_said_not_to():
    tx = adam(1e-8)
    direction, state = tx.update(tree(1), tx.init(tree(0)))
    assert state.count == 1
    expected = jax.tree.map(lambda g: g / (abs(g) + 1e-8), tree(1))
    close(direction, expected, rtol=1e-4, atol=0)  # 1 - 0.999 in float32
