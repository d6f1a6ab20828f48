"""What training takes, found by taking some steps. How long is nobody's promise."""

import pytest
from known_images import read

from vae_jax import train
from vae_jax.run import costs, placement


@pytest.mark.parametrize(("lr", "bad"), [(1e-3, False), (1e25, True)])
def test_a_stage_is_compiled_and_takes_the_first_steps_of_the_run(lr, bad):
    fields = ["data.limit=330", "model.hidden_dim=16", f"optim.lr={lr}"]
    config, job = read("digits_mlp", *fields)
    (cost,) = costs.of_stages(job, config)
    assert cost.parameters == train.count(job.shapes.params)
    assert (cost.steps_per_epoch, cost.epochs) == (5, 100)
    assert cost.seconds == pytest.approx(500 * cost.step_seconds)
    # Numbers of 4 bytes: parameters and both means of Adam, and a few others.
    of_state = 3 * 4 * cost.parameters
    assert of_state < cost.memory["state"] < of_state + 5000
    assert cost.memory["training images"] == 330 * 64
    assert cost.memory["working memory"] > 0
    # All but the first: that they are bad does not end them, and so not the clock.
    assert (cost.bad_steps >= cost.steps_timed) == bad
    assert bad or not cost.bad_steps


def test_the_memory_of_this_device_is_known_where_it_says():
    limit = placement.memory_limit()
    assert limit is None or limit > 10**8
