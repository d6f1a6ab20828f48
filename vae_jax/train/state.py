"""What changes during training, as data."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from vae_jax.contracts import Hparams, Model, Objective, Params


class TrainState(NamedTuple):
    """Everything that changes during training, and so everything a checkpoint holds.

    ``key`` is the run's root key and never advances. Each step folds ``step`` into it,
    so a resumed run draws the same noise as one that was never interrupted.
    """

    step: Int[Array, ""]
    params: Params
    opt_state: optax.OptState
    key: PRNGKeyArray
    ema: Params | None  # running mean of the parameters, when it is on
    sums: dict[str, Float[Array, ""]]  # of the running epoch, over its good steps
    good_steps: Int[Array, ""]  # how many steps ``sums`` holds
    bad_steps: Int[Array, ""]  # skipped, in the whole run
    bad_in_a_row: Int[Array, ""]
    last_bad_step: Int[Array, ""]  # the number of the newest one, from 1; 0 if none
    best_elbo: Float[Array, ""]  # or other bound, see with_best; -inf before the first
    best_step: Int[Array, ""]


def make_init(
    model: Model, objective: Objective, tx: optax.GradientTransformation, use_ema: bool
) -> Callable[[PRNGKeyArray], TrainState]:
    """Compiles what makes the state before the first step: ``init(key) -> state``.

    ``model`` is that of the last stage.
    """

    # It runs once. Compiling it with care would take up to three times as long.
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 1})
    def make(key: PRNGKeyArray) -> TrainState:
        init_key, root_key = jax.random.split(key)
        params = model.init(init_key)
        x = jnp.zeros((1, *model.image_shape))
        ones = Hparams(*(jnp.float32(1.0) for _ in Hparams._fields))
        terms = jax.eval_shape(lambda: objective(model, params, x, root_key, ones)[1])
        return TrainState(
            step=jnp.int32(0),
            params=params,
            opt_state=tx.init(params),
            key=root_key,
            ema=params if use_ema else None,
            sums=dict.fromkeys(("loss", *terms, "grad_norm"), jnp.float32(0.0)),
            good_steps=jnp.int32(0),
            bad_steps=jnp.int32(0),
            bad_in_a_row=jnp.int32(0),
            last_bad_step=jnp.int32(0),
            best_elbo=jnp.float32(-jnp.inf),
            best_step=jnp.int32(0),
        )

    return make


def start_epoch(state: TrainState) -> TrainState:
    """The same state with empty sums."""
    empty = jax.tree.map(jnp.zeros_like, (state.sums, state.good_steps))
    return state._replace(sums=empty[0], good_steps=empty[1])


def count(params: Params) -> int:
    """Numbers in a tree of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def shown_params(state: TrainState) -> Params:
    """The parameters to evaluate, picture and keep: the averaged ones if there are."""
    return state.params if state.ema is None else state.ema


def epoch_means(state: TrainState) -> dict[str, float]:
    """The mean of every term over the good steps of the running epoch; NaN if none."""
    sums, count = jax.device_get((state.sums, state.good_steps))
    return {
        term: float(v) / int(count) if count else np.nan for term, v in sums.items()
    }


def with_best(state: TrainState, bound: float | None) -> TrainState:
    """The same state, on record as the best if its bound is, or if there is none.

    Args:
        state: at the end of an epoch.
        bound: on validation images, if there are any: the importance-weighted one if
            that is trained for, else the ELBO. NaN is never the best.
    """
    if bound is None:
        return state._replace(best_step=jnp.copy(state.step))
    # As it is kept, or rounding alone would make an equal bound a better one.
    best_elbo = jnp.full_like(state.best_elbo, bound)
    if not best_elbo > state.best_elbo:
        return state
    best_step = jnp.copy(state.step)
    return state._replace(best_elbo=best_elbo, best_step=best_step)
