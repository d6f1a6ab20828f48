"""Training as pure functions of a state: one step, and the compiled loop over steps."""

from vae_jax.train.state import (
    TrainState,
    count,
    epoch_means,
    make_init,
    shown_params,
    start_epoch,
    with_best,
)
from vae_jax.train.step import (
    Attempt,
    AttemptFn,
    StepFn,
    epoch_order,
    make_attempt,
    make_run_steps,
    make_step,
)

__all__ = [
    "Attempt",
    "AttemptFn",
    "StepFn",
    "TrainState",
    "count",
    "epoch_means",
    "epoch_order",
    "make_attempt",
    "make_init",
    "make_run_steps",
    "make_step",
    "shown_params",
    "start_epoch",
    "with_best",
]
