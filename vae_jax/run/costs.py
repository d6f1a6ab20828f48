"""What a stage of training takes on this device: compiled, and run for some steps."""

import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from vae_jax import assembly, train
from vae_jax.run.stepping import Feed, endless, feed_of

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


def of_stages(job: assembly.Job, config: ConfigDict) -> Iterator[Cost]:
    """That of every stage, as it is found. Each is compiled, so it may take a while.

    Of images that are streamed, the time and the memory are those of one chunk.
    """
    feed = feed_of(job, config)
    for phase in job.phases:
        if phase.stage.epochs:
            yield _of_stage(job, phase, feed)


def _of_stage(job: assembly.Job, phase: assembly.Phase, feed: Feed) -> Cost:
    stage = phase.stage
    state = feed.begin(job.initial_state())
    state = state._replace(step=state.step + stage.first_step)
    parameters = train.count(state.params)
    images, order, *_ = next(feed.pieces(stage.first_step, stage.first_step + 1))
    phase = endless(phase)  # a step that is not finite takes as long as any

    began = time.perf_counter()
    lowered = phase.run_steps.lower(state, images, order, 0, 1, phase.hparams)
    compiled = lowered.compile()
    compile_seconds = time.perf_counter() - began
    memory = _memory(compiled.memory_analysis(), images.nbytes)

    def seconds_of(num: int) -> float:
        nonlocal state
        began = time.perf_counter()
        state = compiled(state, images, order, 0, num, phase.hparams)
        jax.block_until_ready(state)
        return time.perf_counter() - began

    seconds_of(1)  # slower than any later one
    num = max(1, min(len(order), int(PIECE_SECONDS / seconds_of(1))))
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
