"""When a model grows: a pure function from the step to the stage and its fade.

A model that does not grow is the case of one stage without a fade.

Source:
    Karras et al. 2018 (arXiv:1710.10196), section 2 and appendix A: new layers are
    faded in linearly over the first part of their stage.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

FADES = ("linear", "cosine")
MOST_STEPS = 2**31  # which a state counts in 32 bits


class Stage(NamedTuple):
    """A stretch of training with one graph; its numbers count over the whole run."""

    index: int
    first_step: int
    first_epoch: int
    epochs: int
    steps_per_epoch: int
    batch_size: int
    fade_steps: int  # over which alpha rises from 0; 0: it is 1 at once

    @property
    def end_step(self) -> int:
        return self.first_step + self.epochs * self.steps_per_epoch

    def epoch_at(self, step: int) -> tuple[int, int]:
        """The epoch, and the batch in it, that come when ``step`` steps are done."""
        epoch, batch = divmod(step - self.first_step, self.steps_per_epoch)
        return self.first_epoch + epoch, batch

    def epochs_done(self, step: int) -> int:
        """How many epochs of the run are over when ``step`` steps are done."""
        return self.first_epoch + (step - self.first_step) // self.steps_per_epoch


Plan = tuple[Stage, ...]


def plan(
    num_images: int,
    num_stages: int,
    *,
    epochs: Sequence[int],
    batch_sizes: Sequence[int],
    fadein_ratio: float,
) -> Plan:
    """The stages of a run, one after the other.

    A stage is faded in over the one below; if that was left out, there is no fade.

    Args:
        num_images: of the training set; an epoch is its full batches.
        num_stages: of the model.
        epochs: of each stage, or one number for all.
        batch_sizes: likewise.
        fadein_ratio: the part of a stage over which it is faded in, 0 to 1.

    Raises:
        ValueError: if a list has another length, a batch more than all images, or the
            last stage no epoch (others may have none: they are left out), or if there
            are more steps than can be counted.
    """
    epochs = per_stage("train.epochs_per_stage", epochs, num_stages)
    if not epochs[-1]:
        raise ValueError(
            f"train.epochs_per_stage: must end with at least 1, got {epochs}"
        )
    batch_sizes = per_stage("data.batch_size", batch_sizes, num_stages)
    stages, step, epoch = [], 0, 0
    for index in range(num_stages):
        steps = steps_per_epoch(num_images, batch_sizes[index])
        total = epochs[index] * steps
        fade = round(fadein_ratio * total) if index and epochs[index - 1] else 0
        made = Stage(index, step, epoch, epochs[index], steps, batch_sizes[index], fade)
        stages.append(made)
        step, epoch = step + total, epoch + epochs[index]
    if step >= MOST_STEPS:
        raise ValueError(
            "train.epochs, train.epochs_per_stage: must make fewer than "
            f"{MOST_STEPS:,} steps in the whole run, got {step:,}"
        )
    return tuple(stages)


def per_stage(field: str, values: Sequence, num_stages: int) -> tuple:
    """One value for each stage, of as many or of one for all.

    Raises:
        ValueError: if there are neither.
    """
    if len(values) not in (1, num_stages):
        raise ValueError(
            f"{field}: must have 1 value, or one for each of {num_stages} stages, "
            f"got {tuple(values)}"
        )
    return tuple(values) * (num_stages if len(values) == 1 else 1)


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """How many full batches there are.

    Raises:
        ValueError: if there is not one.
    """
    if batch_size > num_images:
        raise ValueError(
            "data.batch_size: must be at most the number of training images, "
            f"{num_images}, got {batch_size}"
        )
    return num_images // batch_size


def steps_until(stages: Plan, epoch: int) -> int:
    """How many steps the first epochs of a run take; at most those of all of them."""
    return sum(
        s.steps_per_epoch * min(max(epoch - s.first_epoch, 0), s.epochs) for s in stages
    )


def stage_at(stages: Plan, step: int) -> Stage:
    """The stage of the step that comes when ``step`` are done; at the end, the last."""
    return next((s for s in stages if step < s.end_step), stages[-1])


def stage_of(stages: Plan, step: int) -> Stage:
    """The stage of the last of ``step`` steps; before the first, the first."""
    return stage_at(stages, max(0, step - 1))


def images_done(stages: Plan, step: int) -> int:
    """How many images, repeats counted, the first ``step`` steps have seen."""
    return sum(
        s.batch_size * (min(max(step, s.first_step), s.end_step) - s.first_step)
        for s in stages
    )


def alpha(
    stage: Stage, step: Int[Array, ""] | int, fade: str = "linear"
) -> Float[Array, ""]:
    """The share of the newest stage in the step that comes when ``step`` are done.

    Args:
        stage: the one that the step belongs to. At its end the result is 1.
        step: may be traced.
        fade: ``linear``, or ``cosine`` for half a period of a raised cosine.

    Raises:
        ValueError: if there is no such fade.
    """
    if fade not in FADES:
        raise ValueError(f"fade: must be one of {', '.join(FADES)}, got {fade!r}")
    if not stage.fade_steps:
        return jnp.float32(1.0)
    share = jnp.asarray(step - stage.first_step, jnp.float32) / stage.fade_steps
    share = jnp.clip(share, 0.0, 1.0)
    return share if fade == "linear" else 0.5 - 0.5 * jnp.cos(math.pi * share)
