"""Optimiser states that start with their stage."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import groups
from vae_jax.adam import adam

TX = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(0.1))


def tree(seed):
    rng = np.random.default_rng(seed)

    def stage():
        return {"w": jnp.asarray(rng.normal(size=(3, 2)), jnp.float32)}

    net = {f"stage_{s}": stage() for s in range(3)}
    likelihood = {f"stage_{s}": {"log_sigma": jnp.float32(s)} for s in range(3)}
    return {"net": net, "likelihood": likelihood}


def assert_trees_equal(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_a_group_moves_as_if_it_were_alone_and_began_with_its_stage():
    params, grads = tree(0), [tree(seed) for seed in range(1, 6)]
    state = groups.by_stage(TX, 0, 3).init(params)
    updates = []
    for step, grad in enumerate(grads):
        tx = groups.by_stage(TX, 0 if step < 2 else 1, 3)  # stage 1 from step 2 on
        found, state = tx.update(grad, state, params)
        updates.append(found)
    for name, begins in (("stage_0", 0), ("stage_1", 2)):
        own = groups.group(params, name)
        alone = TX.init(own)
        for step in range(begins, len(grads)):
            grad = groups.group(grads[step], name)
            expected, alone = TX.update(grad, alone, own)
            assert_trees_equal(groups.group(updates[step], name), expected)
        assert state[name][0].count == len(grads) - begins


def test_groups_of_later_stages_do_not_move_not_even_by_weight_decay():
    params = tree(0)
    tx = groups.by_stage(TX, 1, 3)
    before = tx.init(params)
    updates, after = tx.update(tree(1), before, params)
    later = groups.group(updates, "stage_2")
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(later))
    assert_trees_equal(after["stage_2"], before["stage_2"])
    assert all((leaf != 0).all() for leaf in jax.tree.leaves(updates["net"]["stage_1"]))


def test_every_group_hears_that_a_step_shall_leave_no_trace():
    params = tree(0)
    tx = groups.by_stage(adam(1e-8), 1, 3)
    _, before = tx.update(tree(1), tx.init(params), params, ok=jnp.bool_(True))
    bad = jax.tree.map(lambda g: g * jnp.nan, tree(2))
    direction, after = tx.update(bad, before, params, ok=jnp.bool_(False))
    assert_trees_equal(after, before)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(direction))


@pytest.mark.parametrize(
    ("tx", "takes"), [(optax.scale_by_adam(), False), (adam(1e-8), True)]
)
def test_groups_take_further_arguments_if_their_optimiser_does(tx, takes):
    grouped = groups.by_stage(tx, 1, 3)
    assert isinstance(grouped, optax.GradientTransformationExtraArgs) == takes


def test_the_structure_is_the_same_at_every_stage():
    params = tree(0)
    states = [groups.by_stage(TX, stage, 3).init(params) for stage in range(3)]
    shapes = {str(jax.tree.structure(state)) for state in states}
    assert len(shapes) == 1
    updates, state = groups.by_stage(TX, 0, 3).update(tree(1), states[0], params)
    assert jax.tree.structure(state) == jax.tree.structure(states[0])
    assert jax.tree.structure(updates) == jax.tree.structure(params)
