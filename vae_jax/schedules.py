"""What changes from step to step: learning rate, beta, capacity, a stage's share."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from vae_jax import growth
from vae_jax.contracts import Hparams, Schedule

SCHEDULES = ("constant", "cosine", "steps")


def make_schedule(
    kind: str,
    warmup_steps: int,
    total_steps: int,
    *,
    decay_steps: Sequence[int] = (),
    decay: float = 1.0,
) -> Schedule:
    """What changes from step to step: the learning rate.

    Args:
        kind: ``constant``, ``cosine`` from the peak to 0 at ``total_steps``, or
            ``steps``, which multiplies it by ``decay`` from each of ``decay_steps`` on.
        warmup_steps: linear rise to the peak, which the last of these steps uses.
        total_steps: of the whole run, warm-up included.
        decay_steps: how many steps are done when it falls, for each time.
        decay: what it is multiplied by.

    Raises:
        ValueError: if there is no such schedule.
    """
    if kind not in SCHEDULES:
        raise ValueError(
            f"schedule: must be one of {', '.join(SCHEDULES)}, got {kind!r}"
        )
    factor = optax.schedules.constant_schedule(1.0)
    if kind == "cosine":
        falling_steps = max(1, total_steps - warmup_steps)
        factor = optax.schedules.cosine_decay_schedule(1.0, falling_steps)
    if warmup_steps:
        rise = optax.schedules.linear_schedule(0.0, 1.0, warmup_steps)
        factor = optax.schedules.join_schedules(
            [lambda step: rise(step + 1), factor], [warmup_steps]
        )
    falls = np.int32(decay_steps if kind == "steps" else ())

    def at_step(hparams: Hparams, step: Int[Array, ""] | int) -> Hparams:
        lr = hparams.lr * factor(step)
        if falls.size:
            lr *= jnp.float32(decay) ** jnp.sum(step >= falls)
        return hparams._replace(lr=lr)

    return at_step


def warming(schedule: Schedule, rises: Sequence[tuple[int, int]]) -> Schedule:
    """The same schedule with a beta that rises linearly to its own, once or more often.

    Args:
        schedule: of everything else.
        rises: how many steps are done when each begins and when it is over; its last
            step has the full beta, and so have all steps that belong to none.

    Source:
        Bowman et al. 2016 (arXiv:1511.06349), section 3.1; Fu et al. 2019
        (arXiv:1903.10145), section 4, for cycles.
    """
    if not rises:
        return schedule
    begins, ends = np.int32(rises).T

    def at_step(hparams: Hparams, step: Int[Array, ""] | int) -> Hparams:
        inside = (begins <= step) & (step < ends)
        risen = (step - begins + 1) / (ends - begins)
        share = jnp.min(jnp.where(inside, risen, 1.0))
        return schedule(hparams, step)._replace(beta=hparams.beta * share)

    return at_step


def filling(schedule: Schedule, rise_steps: int) -> Schedule:
    """The same schedule with a capacity that rises linearly to its own.

    Args:
        schedule: of everything else.
        rise_steps: the last of them has the full capacity; 0: all have.

    Source:
        Burgess et al. 2018 (arXiv:1804.03599), section 5.
    """
    if not rise_steps:
        return schedule

    def at_step(hparams: Hparams, step: Int[Array, ""] | int) -> Hparams:
        share = jnp.minimum((step + 1) / rise_steps, 1.0)
        return schedule(hparams, step)._replace(capacity=hparams.capacity * share)

    return at_step


def growing(schedule: Schedule, stage: growth.Stage, fade: str) -> Schedule:
    """The same schedule with the alpha of a stage, one of ``growth.FADES``."""

    def at_step(hparams: Hparams, step: Int[Array, ""] | int) -> Hparams:
        return schedule(hparams, step)._replace(alpha=growth.alpha(stage, step, fade))

    return at_step
