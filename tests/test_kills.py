"""Runs that are killed at random moments."""

import kills
import numpy as np
import pytest


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(tmp_path):
    rng = np.random.default_rng(0)
    count = kills.kill_and_compare("mlp", 4, rng, tmp_path)
    assert sum(count[kind] for kind in kills.MOMENTS) == 4
    assert count["compared"] >= 1


def test_moments_of_every_kind_are_chosen_and_fit_into_a_process():
    rng = np.random.default_rng(0)
    chosen = [kills.choose(rng, 10.0) for _ in range(200)]
    assert {moment.kind for moment in chosen} == set(kills.MOMENTS)
    assert all(0 <= moment.delay < 10 for moment in chosen)
    assert {m.times for m in chosen if m.kind == "saving"} == {1, 2, 3, 4, 5}
