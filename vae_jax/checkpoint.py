"""Checkpoints of a run. Every call of orbax is here."""

import contextlib
import functools
import hashlib
import logging
import os
import pathlib
import re
import shutil
import sys
from collections.abc import Collection, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from vae_jax import checksums, files, settings
from vae_jax.checksums import Damaged
from vae_jax.train import TrainState

LOGGER = logging.getLogger("vae_jax")
FOLDER = "checkpoints"
KEPT_LATEST = 2
# Saves that a killed process had not finished, and what it had not fully deleted.
LEFTOVERS = ("*.orbax-checkpoint-tmp*", "*.stale")


class Checkpoints:
    """The checkpoints of one run directory, by step.

    Kept are the latest two, the best and those of ``kept_steps``. Each carries the
    sha256 of its state, since a flipped bit would otherwise be restored without a word,
    of its structure, which tells damage from a state of another config, and of its
    files; and the config, as that of the run may have been edited since.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        kept_steps: Collection[int] = (),
        config: dict[str, Any] | None = None,
    ):
        self.folder = folder.absolute() / FOLDER
        self._kept_steps = kept_steps
        self._config = config

    def __enter__(self) -> "Checkpoints":
        _quieten()
        # Of several processes, the one that is here is alone with its files.
        own = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(own, {own}, str(self.folder))
        handler = ocp.CompositeCheckpointHandler(
            state=ocp.StandardCheckpointHandler(multiprocessing_options=alone),
            meta=ocp.JsonCheckpointHandler(multiprocessing_options=alone),
            composite_options=ocp.CompositeOptions(multiprocessing_options=alone),
        )
        self._orbax = ocp.Checkpointer(handler, multiprocessing_options=alone)
        return self

    def __exit__(self, *_) -> None:
        self._orbax.close()

    def steps(self) -> list[int]:
        """Those of which there is something, whole or not.

        Raises:
            ValueError: if there is something else in place of their folder.
        """
        if not self.folder.exists():
            return []
        if not self.folder.is_dir():
            raise ValueError(f"{self.folder}: must be a folder")
        names = [path.name for path in self.folder.iterdir()]
        return sorted(
            int(name) for name in names if re.fullmatch("0|[1-9][0-9]*", name)
        )

    def save(self, state: TrainState) -> None:
        """Saves the state, unless its step is saved already, and drops what is stale.

        Raises:
            NotWritten: if the machine cannot. Earlier checkpoints are left as they are.
            RuntimeError: if a later step is there.
        """
        step, steps = int(state.step), self.steps()
        if step in steps:
            return
        if steps and step < steps[-1]:
            raise RuntimeError(f"checkpoint {step}: step {steps[-1]} is there")
        content = ocp.args.Composite(
            state=ocp.args.StandardSave(jax.tree.map(numbers, state)),
            meta=ocp.args.JsonSave(
                {
                    "sha256": digest(state),
                    "structure": structure(state),
                    "config": self._config,
                }
            ),
        )
        path = self.folder / str(step)
        with files.naming(path), self._or_nothing(step):
            self.folder.mkdir(exist_ok=True)
            self._orbax.save(path, content)
            files.write_text(path / checksums.NAME, checksums.text(path))
        kept = {*[*steps, step][-KEPT_LATEST:], *self._kept_steps, int(state.best_step)}
        for stale in set(steps) - kept:
            self._delete(stale)

    @contextlib.contextmanager
    def _or_nothing(self, step: int) -> Iterator[None]:
        """Leaves no part of a failed save, and makes an ``OSError`` of what it was."""
        try:
            yield
        except Exception as error:
            for path in self.folder.glob(f"{step}.orbax-checkpoint-tmp*"):
                files.remove_folder(path)
            # A full disk is a ValueError where it is tensorstore that finds it full.
            code = re.search(r"os_error_code='(\d+)'", str(error))
            if code:
                number = int(code[1])
                raise OSError(number, os.strerror(number)) from error
            raise

    def _delete(self, step: int) -> None:
        """Takes a checkpoint's name first: half of one must not look like a whole."""
        path = self.folder / str(step)
        try:
            stale = path.rename(path.with_name(f"{step}.stale"))
            shutil.rmtree(stale)
        except OSError as error:
            LOGGER.warning("%s: cannot be deleted: %s", path, error.strerror or error)

    def restore(self, step: int, like: TrainState) -> TrainState:
        """The state of one step.

        Args:
            step: one of ``steps()``.
            like: a state, or its shapes, of the same structure.

        Raises:
            ValueError: if it is not there, or of another structure or config.
            Damaged: if it is not as it was saved.
            OSError: if the machine cannot read it.
            MemoryError: if there is too little.
        """
        if step not in self.steps():
            raise ValueError(f"checkpoint: must be one of {self.steps()}, got {step}")
        path = self.folder / str(step)
        is_whole = checksums.check(path)
        meta = self._part(path, "meta", ocp.args.JsonRestore())
        noted = meta if isinstance(meta, dict) else {}
        if is_whole and self._config and noted.get("config"):  # of older versions: none
            conflicts = settings.conflicts(noted["config"], self._config)
            if conflicts:
                raise ValueError(
                    f"{path}: must be of the run's config, but config.json was changed "
                    f"since: {conflicts}"
                )
        if is_whole and noted.get("structure") != structure(like):
            raise ValueError(
                f"{path}: must be of this config and version, but its state is of "
                "another structure"
            )
        target = jax.tree.map(_room, like)
        plain = self._part(path, "state", ocp.args.StandardRestore(target))
        state = jax.tree.map(as_before, plain, like)
        if digest(state) != noted.get("sha256"):
            raise Damaged(f"{path}: damaged: its content is another")
        if state.step != step:
            raise Damaged(f"{path}: damaged: it is of step {state.step}")
        return state

    def _part(self, path: pathlib.Path, name: str, how: Any) -> Any:
        """One of the two things that a checkpoint consists of."""
        try:
            return self._orbax.restore(path, ocp.args.Composite(**{name: how}))[name]
        except Exception as error:  # orbax raises bare ones for damaged files
            if _is_of_the_machine(error):
                raise
            reason = f"{type(error).__name__}: {error}".split("\n")[0][:200]
            raise Damaged(f"{path}: damaged: {reason}") from error

    def restore_latest(self, like: TrainState, repair: bool) -> TrainState | None:
        """The newest state that is whole, or None if nothing was ever saved.

        Args:
            like: a state, or its shapes, of the same structure.
            repair: whether damaged ones that are newer are moved to
                ``checkpoints_damaged``, and what killed processes left is deleted. Only
                for the process that trains: to any other, what is being written or
                deleted may look damaged.

        Raises:
            ValueError: if there are checkpoints, and none is whole; or if the newest
                that is whole is of another structure or config.
        """
        damaged: dict[int, str] = {}
        steps = self.steps()
        for step in reversed(steps):
            try:
                state = self.restore(step, like)
            except Damaged as error:
                damaged[step] = str(error)
                continue
            if repair:
                self._move_aside(damaged)
                self._clean()
            return state
        if not repair and self.steps() != steps:  # the process that trains went on
            return self.restore_latest(like, repair)
        if damaged:
            raise ValueError(
                f"no checkpoint can be restored: {'; '.join(damaged.values())}. "
                "Nothing was changed. Put back a copy of one, or train in another "
                "--workdir"
            )
        if repair:
            self._clean()
        return None

    def _move_aside(self, damaged: dict[int, str]) -> None:
        aside = self.folder.with_name(f"{FOLDER}_damaged")
        for step, reason in damaged.items():
            files.make_folder(aside)
            target = files.free_name(aside / str(step))
            with files.naming(target):
                os.replace(self.folder / str(step), target)
            LOGGER.warning("%s; moved to %s", reason, target)

    def _clean(self) -> None:
        for pattern in LEFTOVERS:
            for path in self.folder.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)


def digest(state: TrainState) -> str:
    """sha256 over the path and the bytes of every leaf."""
    total = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        total.update(jax.tree_util.keystr(path).encode())
        total.update(numbers(leaf).tobytes())
    return total.hexdigest()


def structure(state: TrainState) -> str:
    """sha256 over the path, shape and type of every leaf of a state or its shapes."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    lines = (
        f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}\n"
        for path, leaf in leaves
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _is_of_the_machine(error: Exception) -> bool:
    """Whether an error says that something is scarce, and nothing of a file."""
    too_little = MemoryError | jax.errors.JaxRuntimeError
    return checksums.is_scarce(error) or isinstance(error, too_little)


# Orbax is given arrays of the host alone: it would not save those of one process's
# devices if there are other processes.


def numbers(leaf: jax.Array) -> np.ndarray:
    """A leaf of a state, on the host; of a key, what makes it up."""
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _room(like: Any) -> np.ndarray:
    """An array for the numbers of a leaf like this one."""
    if _is_key(like):
        like = jax.eval_shape(jax.random.key_data, like)
    return np.empty(like.shape, like.dtype)


def as_before(plain: np.ndarray, like: Any) -> jax.Array:
    """The leaf whose ``numbers`` these are; ``like`` tells whether it is a key."""
    return jax.random.wrap_key_data(plain) if _is_key(like) else jnp.asarray(plain)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


@functools.cache
def _quieten() -> None:
    """From now on, orbax and its threads do not print errors that they raise as well.

    They may do so long after, when what is left of a failed call is cleared away.
    """
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(lambda record: record.levelno > logging.ERROR)
    hook = sys.unraisablehook

    def shown(unraisable) -> None:
        # At the first error, orbax closes event loops that others go on to answer.
        code = getattr(unraisable.object, "cr_code", None)
        of_orbax = code and "orbax" in code.co_filename
        if not of_orbax and str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    sys.unraisablehook = shown
