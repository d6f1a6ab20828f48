"""What must hold between fields of a config."""

import re

import pytest

from vae_jax import consistency


def test_every_batch_can_be_cut_into_its_parts():
    consistency.check_microbatches(4, (8, 4, 12))
    text = "train.microbatches: must divide data.batch_size, 6, got 4"
    with pytest.raises(ValueError, match=re.escape(text)):
        consistency.check_microbatches(4, (8, 6))
