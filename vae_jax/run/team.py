"""Processes that train together: the first decides and writes, the others follow it.

Each has all the images and a whole copy of the state. They take the same steps, over
the devices of all of them; whatever else there is to do, the first does alone.
"""

import hashlib
import json
import sys
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import PyTree
from ml_collections import ConfigDict

from vae_jax import checkpoint, experiment, growth, mesh, report, settings
from vae_jax.assembly import Job
from vae_jax.run.session import Refused

LOGGER = experiment.LOGGER
COMPARE, STATE, STEPS, END = range(4)  # what the first can tell the others to do


def join(
    coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
    """Waits for the others. To be called before anything asks JAX for a device.

    Args:
        coordinator: host:port of the first. It and the others: None if the environment
            of a cluster says it.
        num_processes: how many there are.
        process_id: of this one, from 0.

    Raises:
        Refused: if neither arguments nor the environment say where this process is, or
            if it could not join.
    """
    if coordinator:
        LOGGER.info(
            "process %s of %s waits for all of them at %s, for five minutes at most",
            *(process_id, num_processes, coordinator),
        )
    # JAX would take SIGTERM and do nothing with it until training asks for it.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(coordinator, num_processes, process_id)
    except (ValueError, RuntimeError) as error:
        what = (
            f"process {process_id} could not join the others at {coordinator}"
            if coordinator
            else "without --coordinator, --num_processes and --process_id, must be run "
            "by a cluster that JAX knows, such as SLURM or TPU pods"
        )
        raise Refused(f"--distributed: {what} ({error!s:.200})") from error


def leads() -> bool:
    return jax.process_index() == 0


def tell(what: int, number: int = 0) -> None:
    """Says to all others what comes next, if this is the first and there are any."""
    if jax.process_count() > 1 and leads():
        multihost_utils.broadcast_one_to_all(np.int32([what, number]))


def told() -> tuple[int, int]:
    """Waits for what the first has to say."""
    return tuple(map(int, multihost_utils.broadcast_one_to_all(np.zeros(2, np.int32))))


def given(tree: PyTree) -> PyTree:
    """The first's arrays. The others pass arrays of the same shapes."""
    if jax.process_count() == 1:
        return tree

    def sent(array):
        numbers = multihost_utils.broadcast_one_to_all(checkpoint.numbers(array))
        return checkpoint.as_before(numbers, array)

    return jax.tree.map(sent, tree)


def check_agreement(config: ConfigDict, job: Job) -> None:
    """Accepts processes that have the same config and images, and can share batches.

    Raises:
        Refused: by the first, if one has other ones, or could not read them.
        ValueError: if batches cannot be shared.
    """
    shared_by(job.plan, config.train.microbatches, config.train.devices)
    if jax.process_count() == 1:
        return
    tell(COMPARE)
    others = compare(config, job)
    if others:
        raise Refused(
            "--distributed: every process must have the same config and images, but "
            f"processes {', '.join(map(str, others))} have not those of the first, and "
            "say in what they differ"
        )


def compare(config: ConfigDict, job: Job | None) -> list[int]:
    """The processes that differ from the first, of which each says in what.

    All have to call this; ``job`` is None where a process could not begin, and has said
    why.
    """
    own = _fingerprint(config, job)
    every = multihost_utils.process_allgather(np.frombuffer(own, np.uint8))
    others = [i for i, one in enumerate(every) if one.tobytes() != every[0].tobytes()]
    if others:
        first = json.loads(_of_the_first(config.to_json().encode()))
        if job and jax.process_index() in others:
            differs = difference(first, settings.plain(config))
            print(f"main.py: process {jax.process_index()}: {differs}", file=sys.stderr)
    return others


def _of_the_first(text: bytes) -> bytes:
    """The first's text; the others' may be of other lengths."""
    size = multihost_utils.broadcast_one_to_all(np.int32(len(text)))
    given = np.zeros(size, np.uint8)
    if leads():
        given[:] = np.frombuffer(text, np.uint8)
    return multihost_utils.broadcast_one_to_all(given).tobytes()


def _fingerprint(config: ConfigDict, job: Job | None) -> bytes:
    """sha256 of all that steps depend on."""
    images: Any = report.digests(job.dataset) if job else "none"
    text = json.dumps([settings.plain(config), images], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def difference(first: dict[str, Any], own: dict[str, Any]) -> str:
    """In what this process differs from the first; see ``compare``."""
    there, here = dict(settings.flatten(first)), dict(settings.flatten(own))
    fields = [
        f"{field} is {there.get(field)!r} at the first, {here.get(field)!r} here"
        for field in sorted(there.keys() | here.keys())
        if there.get(field) != here.get(field)
    ]
    return "; ".join(fields) or "other images than at the first"


def devices(plan: growth.Plan, microbatches: int, wanted: int) -> Mesh:
    """Those that share every batch; says so if they are fewer than there could be.

    Takes and raises what ``shared_by`` does.
    """
    num, reason = shared_by(plan, microbatches, wanted)
    if reason:
        LOGGER.warning("%s: %d used", reason, num)
    every = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    return mesh.of(every[:num])


def shared_by(plan: growth.Plan, microbatches: int, wanted: int) -> tuple[int, str]:
    """How many devices can share every batch, and why not all, if not all can.

    Args:
        plan: of the run.
        microbatches: parts of a batch, each of which is shared out.
        wanted: how many devices of a single process; 0: all.

    Raises:
        ValueError: if there are not so many, or several processes cannot share batches.
    """
    several = jax.process_count() > 1
    if wanted and several:
        raise ValueError(
            "train.devices: must be 0, for all, where several processes train "
            f"together, got {wanted}"
        )
    if wanted > jax.device_count():
        raise ValueError(
            f"train.devices: must be at most the {jax.device_count()} that there are, "
            f"got {wanted}"
        )
    most = wanted or jax.device_count()
    parts = {stage.batch_size // microbatches for stage in plan if stage.epochs}
    num = max(n for n in range(1, most + 1) if not any(part % n for part in parts))
    if num == most:
        return num, ""
    reason = (
        f"{most} devices cannot share batches, or parts of them, of "
        f"{', '.join(map(str, sorted(parts)))} images"
    )
    if several:
        raise ValueError(f"data.batch_size: must suit all devices, but {reason}")
    return num, reason
