"""Checkpoints of a run. Every call of orbax is here."""

import hashlib
import logging
import os
import pathlib
from collections.abc import Collection

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from vae_jax.train import TrainState

LOGGER = logging.getLogger("vae_jax")
FOLDER = "checkpoints"
KEPT_LATEST = 2


class Checkpoints:
    """The checkpoints of one run directory, by step.

    Kept are the latest two, the best and those of ``kept_steps``. Each carries the
    sha256 of its state, since a flipped bit would otherwise be restored without a word.
    """

    def __init__(self, folder: pathlib.Path, kept_steps: Collection[int] = ()):
        self.folder = folder / FOLDER
        self._kept_steps = kept_steps
        self._open()

    def _open(self) -> None:
        self._manager = ocp.CheckpointManager(
            os.path.abspath(self.folder),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=None, enable_async_checkpointing=False
            ),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        self._manager.close()

    def steps(self) -> list[int]:
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState) -> None:
        """Saves the state, unless its step is saved already, and drops what is stale.

        Raises:
            RuntimeError: if a later step is there; orbax alone would say nothing.
        """
        step = int(state.step)
        if step in self.steps():
            return
        content = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            meta=ocp.args.JsonSave({"sha256": digest(state)}),
        )
        if not self._manager.save(step, args=content):
            raise RuntimeError(f"checkpoint {step}: step {self.steps()[-1]} is there")
        latest = self.steps()[-KEPT_LATEST:]
        kept = {*latest, *self._kept_steps, int(state.best_step)}
        for stale in set(self.steps()) - kept:
            self._manager.delete(stale)

    def restore(self, step: int, like: TrainState) -> TrainState:
        """The state of one step.

        Args:
            step: one of ``steps()``.
            like: a state, or its shapes, of the same structure.

        Raises:
            ValueError: if it is not there, or not as it was saved.
        """
        if step not in self.steps():
            raise ValueError(f"checkpoint: must be one of {self.steps()}, got {step}")
        content = ocp.args.Composite(
            state=ocp.args.StandardRestore(_target(like)), meta=ocp.args.JsonRestore()
        )
        try:
            found = self._manager.restore(step, args=content)
        except Exception as error:  # orbax raises bare ones for damaged files
            reason = f"{type(error).__name__}: {error}".split("\n")[0][:200]
            raise ValueError(
                f"{self.folder / str(step)}: unreadable: {reason}"
            ) from error
        if digest(found.state) != found.meta["sha256"]:
            raise ValueError(f"{self.folder / str(step)}: its content has changed")
        return found.state

    def restore_latest(self, like: TrainState, repair: bool) -> TrainState | None:
        """The newest state that is whole, or None if nothing was ever saved.

        Args:
            like: a state, or its shapes, of the same structure.
            repair: whether damaged ones that are newer are moved to
                ``checkpoints_damaged``. Only for the process that trains: to any other,
                what is being written or deleted may look damaged.

        Raises:
            ValueError: if there are checkpoints, and none is whole.
        """
        damaged: dict[int, str] = {}
        for step in reversed(self.steps()):
            try:
                state = self.restore(step, like)
            except ValueError as error:
                damaged[step] = str(error)
                continue
            if repair:
                self._move_aside(damaged)
            return state
        if damaged:
            raise ValueError("no checkpoint is whole: " + "; ".join(damaged.values()))
        return None

    def _move_aside(self, damaged: dict[int, str]) -> None:
        aside = self.folder.with_name(f"{FOLDER}_damaged")
        for step, reason in damaged.items():
            aside.mkdir(exist_ok=True)
            taken = len(list(aside.glob(f"{step}*")))
            target = aside / (f"{step}_{taken}" if taken else str(step))
            os.replace(self.folder / str(step), target)
            LOGGER.warning("%s; moved to %s", reason, target)
        if damaged:
            self._manager.close()
            self._open()  # orbax remembers the steps that it has seen


def digest(state: TrainState) -> str:
    """sha256 over the path and the bytes of every leaf."""
    total = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        total.update(jax.tree_util.keystr(path).encode())
        total.update(np.asarray(leaf).tobytes())
    return total.hexdigest()


def _target(like: TrainState) -> TrainState:
    """Shapes on this machine's own device, whatever the state was saved on."""
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        like,
    )
