"""Steps of a run: its images on the device, in the order of each epoch."""

import functools

import jax
import jax.numpy as jnp

from vae_jax import train
from vae_jax.assembly import Job, Phase
from vae_jax.train import TrainState


class Feed:
    """The training images of a job, on the device, and which come when."""

    def __init__(self, job: Job, seed: int):
        self._job, self._seed = job, seed
        self._images = jax.device_put(job.dataset.train.images)
        self.rows = functools.lru_cache(maxsize=1)(self._rows)

    def _rows(self, epoch: int, batch_size: int):
        """The rows of every batch of an epoch, on the device."""
        num_images = len(self._images)
        return jax.device_put(
            train.epoch_order(self._seed, epoch, num_images, batch_size)
        )

    def batch(self, phase: Phase, done: int):
        """The step that comes when ``done`` are done: its rows and its images."""
        epoch, index = phase.stage.epoch_at(done)
        rows = self.rows(epoch, phase.stage.batch_size)[index]
        return rows, self._images[rows]

    def take(self, phase: Phase, state: TrainState, num: int) -> TrainState:
        """The state after ``num`` further steps, all of one epoch. Eats the state."""
        epoch, start = phase.stage.epoch_at(int(state.step))
        rows = self.rows(epoch, phase.stage.batch_size)
        if start == 0:
            state = train.start_epoch(state)
        images, hparams = self._images, phase.hparams
        return phase.run_steps(state, images, rows, start, start + num, hparams)

    def advance(self, state: TrainState, step: int) -> TrainState:
        """The state after step ``step``, by the steps that training takes.

        Stops for no step that is not finite. Eats the state.
        """
        while (done := int(state.step)) < step:
            phase = self._job.phase_at(done)
            left = phase.stage.steps_per_epoch - phase.stage.epoch_at(done)[1]
            state = self.take(endless(phase), state, min(left, step - done))
        return state


def endless(phase: Phase) -> Phase:
    """The same phase, which no number of steps that are not finite ends."""
    hparams = phase.hparams._replace(max_bad_steps=jnp.float32(jnp.inf))
    return phase._replace(hparams=hparams)
