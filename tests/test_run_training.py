"""What the training loop expects of a run directory."""

import pytest

from configs import digits_mlp
from vae_jax import assembly
from vae_jax.run import training


@pytest.mark.parametrize(
    ("valid_size", "splits"), [(0, ["train"]), (100, ["train", "valid"])]
)
def test_every_epoch_that_is_over_has_a_row_of_each_split(valid_size, splits):
    config = digits_mlp.get_config()
    config.data.limit, config.data.valid_size = 330, valid_size
    config.data.batch_size = (64,)  # five steps an epoch
    job = assembly.build(config, assembly.load_data(config))
    for step, epochs in [(0, []), (4, []), (5, [1]), (14, [1, 2]), (15, [1, 2, 3])]:
        expected = {(epoch, split) for epoch in epochs for split in splits}
        assert training.logged(job, step) == expected
