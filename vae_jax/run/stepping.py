"""Steps of a run: its images to the device, in the order of each epoch."""

import functools

import jax
import jax.numpy as jnp

from vae_jax import experiment, train
from vae_jax.assembly import Job, Phase
from vae_jax.run import placement as placements
from vae_jax.run.session import foreseen
from vae_jax.train import TrainState

LOGGER = experiment.LOGGER


class Feed:
    """The training images of a job on their way into its steps."""

    def __init__(self, job: Job, seed: int, placement: str):
        self._job, self._images = job, job.dataset.train.images

        # Of two epochs: the next one may begin to be sent before this one is over.
        @functools.lru_cache(maxsize=2)
        def rows(epoch: int, batch_size: int):
            return train.epoch_order(seed, epoch, len(self._images), batch_size)

        self.rows = rows
        with foreseen():
            placed = placements.place(placement, self._images, job.plan, rows)
        if isinstance(placed, placements.Streamed):
            LOGGER.info("training images are streamed to the device")
        self.pieces = placed.pieces

    def batch(self, phase: Phase, done: int):
        """The step that comes when ``done`` are done: its rows and its images."""
        epoch, index = phase.stage.epoch_at(done)
        rows = self.rows(epoch, phase.stage.batch_size)[index]
        return rows, self._images[rows]

    def take(self, phase: Phase, state: TrainState, num: int) -> TrainState:
        """The state after ``num`` further steps, all of one epoch. Eats the state."""
        done = int(state.step)
        if phase.stage.epoch_at(done)[1] == 0:
            state = train.start_epoch(state)
        for piece in self.pieces(done, done + num):
            # Or the host would run ahead, with a chunk in memory for every piece.
            jax.block_until_ready(state)
            state = phase.run_steps(state, *piece, phase.hparams)
        return state

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
