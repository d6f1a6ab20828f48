"""When a model grows."""

import jax
import numpy as np
import pytest

from vae_jax import growth

FOUR = {"epochs": (2,), "batch_sizes": (10,), "fadein_ratio": 0.5}


def plan(num_images=105, num_stages=4, **changes):
    return growth.plan(num_images, num_stages, **{**FOUR, **changes})


def alphas(stage, steps, fade="linear"):
    return np.array([growth.alpha(stage, step, fade) for step in steps])


def test_stages_follow_each_other_without_gap_or_overlap():
    stages = plan(epochs=(1, 2, 3, 1), batch_sizes=(50, 20, 10, 7))
    # 105 // 50 = 2 batches an epoch, 5, 10 and 15.
    assert [s.steps_per_epoch for s in stages] == [2, 5, 10, 15]
    assert [s.first_step for s in stages] == [0, 2, 12, 42]
    assert [s.end_step for s in stages] == [2, 12, 42, 57]
    assert [s.first_epoch for s in stages] == [0, 1, 3, 6]


def test_every_step_belongs_to_one_stage_epoch_and_batch():
    stages = plan(epochs=(1, 2, 3, 1), batch_sizes=(50, 20, 10, 7))
    visited = []
    for step in range(stages[-1].end_step):
        stage = growth.stage_at(stages, step)
        assert stage == growth.stage_of(stages, step + 1)
        visited.append((stage.index, *stage.epoch_at(step)))
    expected = [
        (s.index, epoch, batch)
        for s in stages
        for epoch in range(s.first_epoch, s.first_epoch + s.epochs)
        for batch in range(s.steps_per_epoch)
    ]
    assert visited == expected


def test_at_both_ends_of_a_run_there_is_a_stage():
    stages = plan()
    assert growth.stage_of(stages, 0) == stages[0]
    assert growth.stage_at(stages, 80) == growth.stage_of(stages, 80) == stages[-1]


def test_images_done_count_every_batch_of_every_stage_so_far():
    stages = plan(epochs=(1, 2, 3, 1), batch_sizes=(50, 20, 10, 7))
    found = [growth.images_done(stages, step) for step in (0, 1, 2, 3, 12, 57)]
    # 2 batches of 50, then 10 of 20, 30 of 10 and 15 of 7.
    assert found == [0, 50, 100, 120, 300, 705]


def test_stages_without_epochs_are_left_out():
    stages = plan(epochs=(0, 2, 0, 1))
    assert growth.stage_at(stages, 0).index == growth.stage_of(stages, 0).index == 1
    assert growth.stage_at(stages, 20).index == 3
    assert growth.stage_of(stages, 20).index == 1


def test_the_first_stage_that_is_trained_has_no_fade():
    assert [s.fade_steps for s in plan()] == [0, 10, 10, 10]
    assert [s.fade_steps for s in plan(epochs=(0, 2, 0, 1))] == [0, 0, 0, 0]
    assert [s.fade_steps for s in plan(epochs=(0, 2, 1, 1))] == [0, 0, 5, 5]


def test_epochs_done_count_over_the_run():
    stages = plan()  # 10 steps an epoch, 20 a stage
    assert [stages[1].epochs_done(step) for step in (20, 29, 30, 40)] == [2, 2, 3, 4]


def test_more_steps_than_a_state_can_count_are_refused():
    most = {"batch_sizes": (1,), "fadein_ratio": 0.0}
    plan = growth.plan(1, 1, epochs=(2**31 - 1,), **most)
    assert plan[-1].end_step == 2**31 - 1
    message = "must make fewer than 2,147,483,648 steps .* run, got 2,147,483,648$"
    with pytest.raises(ValueError, match=message):
        growth.plan(1, 2, epochs=(2**30,), **most)


def test_alpha_rises_linearly_over_its_part_of_the_stage_and_stays_at_one():
    stage = plan()[2]
    expected = np.minimum(1.0, np.arange(21) / 10)
    # float32 holds k/10 to 6e-8.
    np.testing.assert_allclose(alphas(stage, range(40, 61)), expected, atol=1e-7)
    assert alphas(stage, [40])[0] == 0.0
    assert (alphas(stage, range(50, 61)) == 1.0).all()


def test_a_raised_cosine_is_flat_at_both_ends_and_meets_the_line_in_the_middle():
    found = alphas(plan()[1], range(20, 41), "cosine")
    expected = 0.5 - 0.5 * np.cos(np.pi * np.minimum(1.0, np.arange(21) / 10))
    np.testing.assert_allclose(found, expected, atol=1e-6)  # a float32 cosine
    assert found[0] == 0.0
    assert found[5] == pytest.approx(0.5, abs=1e-6)
    assert (found[10:] == 1.0).all()


def test_the_first_stage_has_no_fade_and_without_a_ratio_none_has():
    assert (alphas(plan()[0], range(20)) == 1.0).all()
    assert all((alphas(s, [s.first_step]) == 1.0).all() for s in plan(fadein_ratio=0.0))


def test_a_fade_over_the_whole_stage_is_complete_at_its_end():
    stage = plan(fadein_ratio=1.0)[1]
    np.testing.assert_allclose(alphas(stage, [20, 30, 39, 40]), [0, 0.5, 0.95, 1])


def test_alpha_of_a_traced_step_is_the_same():
    stage = plan()[1]
    traced = jax.jit(lambda step: growth.alpha(stage, step))
    for step in (20, 23, 30, 35):
        assert traced(step) == growth.alpha(stage, step)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"epochs": (1, 2)},
            "train.epochs_per_stage: must have 1 value, or one for each of 4 stages, "
            "got (1, 2)",
        ),
        (
            {"epochs": (1, 2, 3, 0)},
            "train.epochs_per_stage: must end with at least 1, got (1, 2, 3, 0)",
        ),
        (
            {"batch_sizes": (1, 2, 3, 4, 5)},
            "data.batch_size: must have 1 value, or one for each of 4 stages, "
            "got (1, 2, 3, 4, 5)",
        ),
        (
            {"batch_sizes": (10, 10, 106, 10)},
            "data.batch_size: must be at most the number of training images, 105, "
            "got 106",
        ),
    ],
)
def test_a_list_of_another_length_or_too_large_a_batch_is_refused(changes, message):
    with pytest.raises(ValueError, match=r"^(train|data)\.") as caught:
        plan(**changes)
    assert str(caught.value) == message


def test_an_unknown_fade_lists_the_known_ones():
    with pytest.raises(ValueError, match="fade: must be one of linear, cosine, got"):
        growth.alpha(plan()[1], 20, "quick")
