"""What changes from step to step."""

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import growth, schedules


def test_the_schedule_of_a_stage_adds_its_alpha_and_nothing_else(hparams):
    (_, stage) = growth.plan(40, 2, epochs=(2,), batch_sizes=(8,), fadein_ratio=0.5)
    plain = schedules.make_schedule("cosine", 0, 20)
    grown = schedules.growing(plain, stage, "linear")
    for step, alpha in ((10, 0.0), (12, 0.4), (15, 1.0), (19, 1.0)):
        found = grown(hparams, step)
        assert found.alpha == pytest.approx(alpha)
        assert found._replace(alpha=hparams.alpha) == plain(hparams, step)


def test_warmup_rises_to_the_peak_in_equal_steps(hparams):
    schedule = schedules.make_schedule("constant", 4, 100)
    values = [float(schedule(hparams, jnp.int32(step)).lr) for step in range(6)]
    np.testing.assert_allclose(values, np.float32([0.25, 0.5, 0.75, 1, 1, 1]) * 1e-3)


def test_the_cosine_schedule_ends_at_zero_after_its_warmup(hparams):
    schedule = schedules.make_schedule("cosine", 10, 110)
    values = [float(schedule(hparams, jnp.int32(step)).lr) for step in (9, 10, 60, 110)]
    # float32 rounding of numbers up to 1e-3
    np.testing.assert_allclose(values, [1e-3, 1e-3, 5e-4, 0.0], atol=1e-9)


def test_a_warmup_may_take_the_whole_run(hparams):
    schedule = schedules.make_schedule("cosine", 4, 4)
    values = [float(schedule(hparams, jnp.int32(step)).lr) for step in range(4)]
    np.testing.assert_allclose(values, np.float32([0.25, 0.5, 0.75, 1]) * 1e-3)


def test_a_rate_in_steps_falls_by_one_factor_after_each_of_some_steps(hparams):
    schedule = schedules.make_schedule(
        "steps", 2, 100, decay_steps=(3, 5, 9), decay=0.5
    )
    values = [float(schedule(hparams, jnp.int32(step)).lr) for step in range(11)]
    factors = [0.5, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125]
    np.testing.assert_allclose(values, np.multiply(factors, 1e-3), rtol=1e-6)  # float32


def test_other_schedules_do_not_fall_in_steps(hparams):
    schedule = schedules.make_schedule("constant", 0, 9, decay_steps=(3,), decay=0.5)
    assert schedule(hparams, 8).lr == hparams.lr


def test_an_unknown_schedule_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="one of constant, cosine, steps, got 'linear'"
    ):
        schedules.make_schedule("linear", 0, 1)


def test_beta_rises_in_equal_steps_and_stays(hparams):
    plain = schedules.make_schedule("cosine", 2, 100)
    warm = schedules.warming(plain, [(0, 4)])
    hparams = hparams._replace(beta=jnp.float32(3.0))
    steps = range(12)
    betas = [float(warm(hparams, jnp.int32(step)).beta) for step in steps]
    np.testing.assert_allclose(betas, [0.75, 1.5, 2.25, *[3.0] * 9], rtol=1e-6)
    for step in steps:
        assert warm(hparams, step)._replace(beta=hparams.beta) == plain(hparams, step)


def test_beta_rises_again_in_every_cycle_and_stays_after_the_last(hparams):
    plain = schedules.make_schedule("constant", 0, 100)
    warm = schedules.warming(plain, [(0, 2), (4, 6), (8, 10)])
    betas = [float(warm(hparams, step).beta) for step in range(16)]
    np.testing.assert_allclose(betas, [0.5, 1, 1, 1] * 3 + [1] * 4)


def test_rises_of_beta_may_be_of_different_lengths(hparams):
    plain = schedules.make_schedule("constant", 0, 100)
    warm = schedules.warming(plain, [(0, 1), (3, 7)])
    betas = [float(warm(hparams, step).beta) for step in range(9)]
    np.testing.assert_allclose(betas, [1, 1, 1, 0.25, 0.5, 0.75, 1, 1, 1])


def test_a_capacity_rises_in_equal_steps_and_stays(hparams):
    plain = schedules.make_schedule("cosine", 2, 100)
    filled = schedules.filling(plain, 4)
    hparams = hparams._replace(capacity=jnp.float32(8.0))
    steps = range(7)
    found = [float(filled(hparams, jnp.int32(step)).capacity) for step in steps]
    np.testing.assert_allclose(found, [2, 4, 6, 8, 8, 8, 8], rtol=1e-6)
    for step in steps:
        at = filled(hparams, step)._replace(capacity=hparams.capacity)
        assert at == plain(hparams, step)
    assert schedules.filling(plain, 0)(hparams, 0).capacity == 8


def test_without_a_warmup_beta_is_what_it_is(hparams):
    plain = schedules.make_schedule("constant", 0, 100)
    assert schedules.warming(plain, [])(hparams, 0).beta == hparams.beta
