"""What must hold between fields of a config."""

import re

import pytest

from vae_jax import consistency, objectives


def test_every_batch_can_be_cut_into_its_parts():
    loss = {"free_bits": 0.0, "tc_weight": 1.0}
    consistency.check_microbatches(4, (8, 4, 12), loss)
    text = "train.microbatches: must divide data.batch_size, 6, got 4"
    with pytest.raises(ValueError, match=re.escape(text)):
        consistency.check_microbatches(4, (8, 6), loss)


@pytest.mark.parametrize(("field", "value"), [("free_bits", 2.0), ("tc_weight", 6.0)])
def test_losses_of_whole_batches_are_not_cut_into_parts(field, value):
    loss = {"free_bits": 0.0, "tc_weight": 1.0, field: value}
    consistency.check_microbatches(1, (8,), loss)
    text = f"train.microbatches: must be 1 for loss.{field}={value}, which is of whole"
    with pytest.raises(ValueError, match=re.escape(text)):
        consistency.check_microbatches(2, (8,), loss)


def test_objectives_that_are_weighted_are_those_of_the_estimators():
    assert consistency.WEIGHTED == tuple(objectives.ESTIMATORS)
