"""One optimiser over the parameters of a model that grows, a group for each stage."""

import jax
import jax.numpy as jnp
import optax

from vae_jax.contracts import Params


def by_stage(
    tx: optax.GradientTransformation, stage: int, num_stages: int
) -> optax.GradientTransformation:
    """``tx`` for each stage's parameters alone, of stages up to ``stage``.

    Each group has a state, and so a step count, of its own, which starts when its stage
    does: Adam corrects the bias of its means by that count, and parameters that first
    receive gradients late would otherwise move several times too far. Groups of stages
    not yet reached do not move, whatever ``tx`` adds to gradients.

    The state has the same structure at every stage. It takes the further arguments
    that ``tx`` takes, for every group.
    """

    def names(last: int) -> list[str]:
        return [f"stage_{index}" for index in range(last)]

    def init(params: Params) -> dict[str, optax.OptState]:
        return {name: tx.init(group(params, name)) for name in names(num_stages)}

    def update(grads, state, params=None, **extra):
        updates, state = jax.tree.map(jnp.zeros_like, grads), dict(state)
        for name in names(stage + 1):
            own = None if params is None else group(params, name)
            found, state[name] = tx.update(
                group(grads, name), state[name], own, **extra
            )
            for section in updates:
                updates[section][name] = found[section]
        return updates, state

    return type(tx)(init, update)


def group(params: Params, name: str) -> Params:
    """The part of every section that belongs to one stage."""
    return {section: stages[name] for section, stages in params.items()}
