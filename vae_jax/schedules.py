"""What changes from step to step: the learning rate, and the share of a new stage."""

import optax
from jaxtyping import Array, Int

from vae_jax import growth
from vae_jax.contracts import Hparams, Schedule

SCHEDULES = ("constant", "cosine")


def make_schedule(kind: str, warmup_steps: int, total_steps: int) -> Schedule:
    """What changes from step to step: the learning rate.

    Args:
        kind: ``constant``, or ``cosine`` from the peak to 0 at ``total_steps``.
        warmup_steps: linear rise to the peak, which the last of these steps uses.
        total_steps: of the whole run, warm-up included.

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

    def at_step(hparams: Hparams, step: Int[Array, ""] | int) -> Hparams:
        return hparams._replace(lr=hparams.lr * factor(step))

    return at_step


def growing(schedule: Schedule, stage: growth.Stage, fade: str) -> Schedule:
    """The same schedule with the alpha of a stage, one of ``growth.FADES``."""

    def at_step(hparams: Hparams, step: Int[Array, ""] | int) -> Hparams:
        return schedule(hparams, step)._replace(alpha=growth.alpha(stage, step, fade))

    return at_step
