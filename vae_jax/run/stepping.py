"""Steps of a run: its images to the device, in the order of each epoch."""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vae_jax import experiment, mesh, train
from vae_jax.assembly import Job, Phase
from vae_jax.run import placement as placements
from vae_jax.run import team
from vae_jax.run.session import foreseen
from vae_jax.train import TrainState

LOGGER = experiment.LOGGER


class Feed:
    """The training images of a job on their way into its steps.

    Between steps a state is whole on every device of this process.
    """

    def __init__(self, job: Job, seed: int, placement: str, devices: Mesh):
        self._job, self._images = job, job.dataset.train.images
        self._seed, self._placement = seed, placement
        self._devices, self._own = devices, devices.local_mesh

        # Of two epochs: the next one may begin to be sent before this one is over.
        @functools.lru_cache(maxsize=2)
        def rows(epoch: int, batch_size: int):
            return train.epoch_order(seed, epoch, len(self._images), batch_size)

        self.rows = rows
        with foreseen():
            placed = placements.place(placement, self._images, job.plan, rows, devices)
        if isinstance(placed, placements.Streamed):
            LOGGER.info("training images are streamed to the device")
        self.pieces = placed.pieces

    def batch(self, phase: Phase, done: int):
        """The step that comes when ``done`` are done: its rows and its images."""
        epoch, index = phase.stage.epoch_at(done)
        rows = self.rows(epoch, phase.stage.batch_size)[index]
        return rows, self._images[rows]

    def begin(self, state: TrainState) -> TrainState:
        """The state of a run that begins, or goes on, on all devices.

        Where the arrays live is part of what was compiled: so a new state, a restored
        one and, of several processes, that of the first are placed alike.
        """
        if self._is_of_a_team():
            team.tell(team.STATE)
            state = team.given(state)
        return mesh.copied(state, self._own)

    def take(self, phase: Phase, state: TrainState, num: int) -> TrainState:
        """The state after ``num`` further steps, all of one epoch. Eats the state."""
        done = int(state.step)
        if phase.stage.epoch_at(done)[1] == 0:
            state = train.start_epoch(state)
        if self._is_of_a_team():
            team.tell(team.STEPS, num)
        state = mesh.viewed(mesh.copied(state, self._own), self._devices)
        hparams = mesh.copied(phase.hparams, self._devices)
        for piece in self.pieces(done, done + num):
            # Or the host would run ahead, with a chunk in memory for every piece.
            jax.block_until_ready(state)
            state = phase.run_steps(state, *piece, hparams)
        return mesh.viewed(state, self._own)

    def advance(self, state: TrainState, step: int) -> TrainState:
        """The state after step ``step``, by the steps that training takes.

        Stops for no step that is not finite. Eats the state.
        """
        state = self.begin(state)
        while (done := int(state.step)) < step:
            phase = self._job.phase_at(done)
            left = phase.stage.steps_per_epoch - phase.stage.epoch_at(done)[1]
            state = self.take(endless(phase), state, min(left, step - done))
        return state

    def alone(self) -> "Feed":
        """One whose steps this process takes without the others, if there are any."""
        if not self._is_of_a_team():
            return self
        return Feed(self._job, self._seed, self._placement, self._own)

    def _is_of_a_team(self) -> bool:
        return self._devices.is_multi_process


def feed_of(job: Job, config: ConfigDict) -> Feed:
    """That of a config's run, over all devices that can take part in it.

    Raises:
        Refused: if its images do not fit there, or its batches cannot be shared.
    """
    fields = config.train
    with foreseen():
        devices = team.devices(job.plan, fields.microbatches, fields.devices)
    return Feed(job, config.seed, config.data.placement, devices)


def endless(phase: Phase) -> Phase:
    """The same phase, which no number of steps that are not finite ends."""
    hparams = phase.hparams._replace(max_bad_steps=jnp.float32(jnp.inf))
    return phase._replace(hparams=hparams)
