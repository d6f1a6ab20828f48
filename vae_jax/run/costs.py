"""What a stage of training takes on this device: compiled, and run for some steps."""

import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax

from vae_jax import assembly, train
from vae_jax.run.stepping import endless

PIECES = 5  # that are timed
PIECE_SECONDS = 0.2  # how long each shall be, if one step is shorter


class Cost(NamedTuple):
    """Of one stage."""

    index: int
    epochs: int
    parameters: int  # of the whole model, whatever the stage
    compile_seconds: float
    step_seconds: float  # median of several pieces
    steps_timed: int
    steps_per_epoch: int
    bad_steps: int  # not finite, of the first few
    memory: dict[str, int]  # bytes; empty where the backend does not say

    @property
    def epoch_seconds(self) -> float:
        return self.step_seconds * self.steps_per_epoch

    @property
    def seconds(self) -> float:
        """Of all epochs."""
        return self.epoch_seconds * self.epochs


def of_stages(job: assembly.Job, seed: int) -> Iterator[Cost]:
    """That of every stage, as it is found. Each is compiled, so it may take a while."""
    images = jax.device_put(job.dataset.train.images)
    for phase in job.phases:
        if phase.stage.epochs:
            yield _of_stage(job, phase, images, seed)


def _of_stage(job, phase: assembly.Phase, images: jax.Array, seed: int) -> Cost:
    stage = phase.stage
    state = jax.device_put(job.initial_state(), jax.devices()[0])
    state = state._replace(step=state.step + stage.first_step)
    parameters = train.count(state.params)
    rows = train.epoch_order(seed, stage.first_epoch, len(images), stage.batch_size)
    rows = jax.device_put(rows)
    phase = endless(phase)  # a step that is not finite takes as long as any

    began = time.perf_counter()
    lowered = phase.run_steps.lower(state, images, rows, 0, 1, phase.hparams)
    compiled = lowered.compile()
    compile_seconds = time.perf_counter() - began
    memory = _memory(compiled.memory_analysis(), images.nbytes)

    def seconds_of(num: int) -> float:
        nonlocal state
        began = time.perf_counter()
        state = compiled(state, images, rows, 0, num, phase.hparams)
        jax.block_until_ready(state)
        return time.perf_counter() - began

    seconds_of(1)  # slower than any later one
    num = max(1, min(stage.steps_per_epoch, int(PIECE_SECONDS / seconds_of(1))))
    pieces = [seconds_of(num) for _ in range(PIECES)]
    return Cost(
        index=stage.index,
        epochs=stage.epochs,
        parameters=parameters,
        compile_seconds=compile_seconds,
        step_seconds=statistics.median(pieces) / num,
        steps_timed=PIECES * num,
        steps_per_epoch=stage.steps_per_epoch,
        bad_steps=int(state.bad_steps),
        memory=memory,
    )


def _memory(analysis, of_images: int) -> dict[str, int]:
    """What the compiled steps need, in parts. The state is updated in place."""
    if analysis is None:
        return {}
    arguments = analysis.argument_size_in_bytes
    kept = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return {
        "training images": of_images,
        "state": arguments - of_images,
        "working memory": analysis.temp_size_in_bytes + kept,
    }


def memory_limit() -> int | None:
    """Bytes that the device has, where that can be found."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return assembly.memory()
    return (device.memory_stats() or {}).get("bytes_limit")
