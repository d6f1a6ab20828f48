"""What is called at one stage of growth, as a config has it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from vae_jax import (
    adam,
    evaluate,
    groups,
    growth,
    schedules,
    train,
)
from vae_jax.contracts import (
    Hparams,
    Model,
    Objective,
    Params,
    Schedule,
    Trained,
)


class Phase(NamedTuple):
    """Everything that training and evaluation call at one stage of growth."""

    stage: growth.Stage
    model: Model
    hparams: Hparams
    schedule: Schedule
    attempt: train.AttemptFn  # compiled, to look into one step; see train.make_attempt
    run_steps: Callable[..., train.TrainState]  # see train.make_run_steps
    terms: Callable[..., dict[str, np.ndarray]]  # see evaluate.make_terms

    def alpha_at(self, step: int) -> float:
        """The share of the newest stage after so many steps; 1 at the stage's end."""
        return float(self.schedule(self.hparams, step).alpha)

    def hparams_at(self, step: int) -> Hparams:
        """The numbers at which the model is evaluated after so many steps."""
        return self.hparams._replace(alpha=jnp.float32(self.alpha_at(step)))

    def trained(self, params: Params, step: int) -> Trained:
        """The model with parameters as they are after so many steps."""
        return Trained(self.model, params, self.hparams_at(step))

    def place_at(self, step: int) -> dict[str, Any]:
        """Where in its growth the model is after so many steps, for the record."""
        return {
            "stage": self.stage.index,
            "resolution": list(self.model.resolution),
            "alpha": self.alpha_at(step),
        }

    def own_terms(self, terms: dict[str, float]) -> dict[str, float]:
        """Without those of latents that are still to come."""
        later = range(self.stage.index + 1, self.model.num_stages)
        return {
            k: v for k, v in terms.items() if k not in {f"kl_group_{i}" for i in later}
        }


def build_phase(
    config: ConfigDict, plan: growth.Plan, model: Model, objective: Objective, lr: float
) -> Phase:
    stage = plan[model.stage]
    schedule = schedules.make_schedule(
        config.optim.schedule,
        config.optim.warmup_steps,
        plan[-1].end_step,
        decay_steps=[growth.steps_until(plan, e) for e in config.optim.decay_epochs],
        decay=config.optim.decay,
    )
    schedule = schedules.warming(schedule, rises_of_beta(config, plan))
    filled = growth.steps_until(plan, config.loss.capacity_epochs)
    schedule = schedules.filling(schedule, filled)
    schedule = schedules.growing(schedule, stage, config.train.fade)
    attempt = train.make_attempt(
        model,
        objective,
        schedule,
        reduction=config.loss.reduction,
        scale=config.data.scale,
        dynamic_binarize=config.data.binarize == "dynamic",
        microbatches=config.train.microbatches,
    )
    step = train.make_step(
        attempt, optimiser(config, model), first_step=stage.first_step
    )
    terms = evaluate.make_terms(
        model, objective, scale=config.data.scale, batch_size=config.eval.batch_size
    )
    return Phase(
        stage,
        model,
        hparams(config, lr),
        schedule,
        jax.jit(attempt),
        train.make_run_steps(step),
        terms,
    )


def rises_of_beta(config: ConfigDict, plan: growth.Plan) -> list[tuple[int, int]]:
    """The steps at which beta begins to rise and has risen, for each of its cycles."""
    epochs, cycles = config.loss.warmup_epochs, config.loss.warmup_cycles
    if not epochs:
        return []
    edges = [growth.steps_until(plan, n * epochs) for n in range(2 * cycles)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def optimiser(config: ConfigDict, model: Model) -> optax.GradientTransformation:
    """Adam up to the direction of its step; the learning rate is traced elsewhere."""
    tx = adam.adam(config.optim.eps)
    if model.num_stages == 1 or not config.optim.per_stage:
        return tx
    return groups.by_stage(tx, model.stage, model.num_stages)


def hparams(config: ConfigDict, lr: float) -> Hparams:
    """The numbers of a config that are traced, for a stage with this learning rate."""
    numbers = Hparams(
        lr=lr,
        beta=config.loss.beta,
        free_bits=config.loss.free_bits,
        capacity=config.loss.capacity,
        tc_weight=config.loss.tc_weight,
        sigma=config.loss.sigma,
        sigma_floor=config.loss.sigma_floor,
        alpha=1.0,
        clip_norm=config.optim.clip_norm or np.inf,
        ema_decay=config.optim.ema,
        max_bad_steps=config.train.max_bad_steps,
    )
    return Hparams(*map(jnp.float32, numbers))
