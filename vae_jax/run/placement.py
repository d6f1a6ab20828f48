"""Where the training images are while steps are taken, and which come when.

They are all on the device, or in memory or files of the host, from which they are sent
in chunks. Several devices have the same images, and each its part of every batch. Steps
do not see a difference: the same images come in the same order, so the
results are the same to the last bit.
"""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int

from vae_jax import data, growth, machine, mesh
from vae_jax.data import streams

CHUNK_BYTES = 2**25  # of images that are sent in one go; two such chunks are held
SHARE = 0.5  # of the device's memory; the rest is for the model and its steps

Rows = Callable[[int, int], Int[np.ndarray, "T B"]]  # of an epoch and a batch size


class Piece(NamedTuple):
    """What ``run_steps`` takes between the state and the numbers."""

    images: Array
    order: Int[Array, "T B"]
    start: int
    stop: int


class Resident:
    """All training images on each device: it gathers its part of every batch there."""

    def __init__(
        self, images: data.Images, plan: growth.Plan, rows: Rows, devices: Mesh
    ):
        self._images, self._plan = mesh.copied(images[:], devices), plan

        @functools.lru_cache(maxsize=1)
        def order(epoch: int, batch_size: int):
            return mesh.shared(rows(epoch, batch_size), devices, axis=1)

        self._order = order

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """One piece: steps ``start`` to ``stop`` of the run, all of one epoch."""
        stage = growth.stage_at(self._plan, start)
        epoch, batch = stage.epoch_at(start)
        order = self._order(epoch, stage.batch_size)
        yield Piece(self._images, order, batch, batch + stop - start)


class Streamed:
    """Training images on the host: of the device they take two chunks, no more.

    While the device is at one chunk, the host gathers the next one and sends it. All
    chunks of a stage have one size, the last one of an epoch filled up with nothing in
    particular, so that they take one compilation.
    """

    def __init__(
        self,
        images: data.Images,
        plan: growth.Plan,
        rows: Rows,
        devices: Mesh,
        chunk_bytes: int,
    ):
        self._images, self._plan, self._rows = images, plan, rows
        self._devices, self._chunk_bytes = devices, chunk_bytes
        self._held: dict[int, tuple[Array, Array]] = {}  # by the chunks' first steps

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Steps ``start`` to ``stop`` of the run, all of one epoch, chunk by chunk.

        The caller has the device begin with a piece before it asks for the next one.
        """
        while start < stop:
            first, end = self._chunk_at(start)
            held = {step: self._held.get(step) for step in (first, end)}
            self._held = {step: chunk for step, chunk in held.items() if chunk}
            self._prepare(first)
            images, order = self._held[first]
            piece_end = min(stop, end)
            yield Piece(images, order, start - first, piece_end - first)
            self._prepare(end)
            start = piece_end

    def _prepare(self, step: int) -> None:
        """Sends the chunk that begins with ``step``, if it is not there yet."""
        if step < self._plan[-1].end_step and step not in self._held:
            self._held[step] = self._sent(*self._chunk_at(step))

    def _chunk_at(self, step: int) -> tuple[int, int]:
        """The first step of the chunk of ``step``, and that after its last."""
        stage = growth.stage_at(self._plan, step)
        batch = stage.epoch_at(step)[1]
        first = step - batch % self._batches(stage)
        end_of_epoch = step - batch + stage.steps_per_epoch
        return first, min(first + self._batches(stage), end_of_epoch)

    def _batches(self, stage: growth.Stage) -> int:
        """How many a chunk has; all of an epoch have nearly as many."""
        image = self._images.nbytes // len(self._images)
        most = max(1, self._chunk_bytes // (stage.batch_size * image))
        num_chunks = -(-stage.steps_per_epoch // most)
        return -(-stage.steps_per_epoch // num_chunks)

    def _sent(self, first: int, end: int) -> tuple[Array, Array]:
        """The images of these steps on the device, and which of them make each batch.

        They are there in the order in which they were stored.
        """
        stage = growth.stage_at(self._plan, first)
        epoch, batch = stage.epoch_at(first)
        rows = self._rows(epoch, stage.batch_size)[batch : batch + end - first]
        order = np.zeros((self._batches(stage), stage.batch_size), np.int32)
        shape, dtype = self._images.shape[1:], self._images.dtype
        num_bytes = order.size * self._images.nbytes // len(self._images)
        # A new one each time: on a CPU, the device reads it in place.
        chunk = streams.aligned(num_bytes).view(dtype).reshape(-1, *shape)
        places = data.read(self._images, rows.ravel(), chunk[: rows.size])
        order[: len(rows)] = places.reshape(rows.shape)
        return (
            mesh.copied(chunk, self._devices),
            mesh.shared(order, self._devices, axis=1),
        )


def place(
    placement: str, images: data.Images, plan: growth.Plan, rows: Rows, devices: Mesh
) -> Resident | Streamed:
    """The training images as ``data.placement`` says.

    Raises:
        ValueError: if they shall be on the device and do not fit there.
    """
    limit, in_place = memory_limit(), jax.local_devices()[0].platform == "cpu"
    if placement == "auto":
        placement = suited(images, None if in_place else limit)
    if placement == "stream":
        return Streamed(images, plan, rows, devices, CHUNK_BYTES)
    if limit is not None and images.nbytes > limit:
        raise ValueError(
            "data.placement: must be auto or stream for images of "
            f"{images.nbytes / 1e9:.3g} GB on a device with {limit / 1e9:.3g} GB, "
            f"got {placement!r}"
        )
    return Resident(images, plan, rows, devices)


def suited(images: data.Images, limit: int | None) -> str:
    """``stream`` for files and for what would leave too little of the device's memory.

    Args:
        images: of the training set.
        limit: bytes that the device has; None where it uses the host's own memory, in
            which arrays are already, or does not say.
    """
    too_large = limit is not None and images.nbytes > SHARE * limit
    return "stream" if isinstance(images, data.Mapped) or too_large else "device"


def memory_limit() -> int | None:
    """Bytes that the device has, where that can be found."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return machine.memory()
    return (device.memory_stats() or {}).get("bytes_limit")
