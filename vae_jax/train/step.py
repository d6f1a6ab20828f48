"""The training step, and the compiled loop over steps."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from vae_jax import growth, losses, pixels
from vae_jax.contracts import Hparams, Model, Objective, Params, Schedule
from vae_jax.train.state import TrainState


class Attempt(NamedTuple):
    """What a step computes before it is known whether the step shall count."""

    hparams: Hparams  # those of this step
    x: Float[Array, "B H W C"]
    terms: dict[str, Float[Array, " B"]]
    loss: Float[Array, ""]
    grads: Params
    grad_norm: Float[Array, ""]  # over all parameters, before it is clipped

    def is_finite(self) -> Bool[Array, ""]:
        return jnp.isfinite(self.loss) & jnp.isfinite(self.grad_norm)


AttemptFn = Callable[[TrainState, Array, Hparams], Attempt]
StepFn = Callable[[TrainState, Array, Hparams], TrainState]


def epoch_order(
    seed: int, epoch: int, num_images: int, batch_size: int
) -> Int[np.ndarray, "T B"]:
    """The rows of each batch of an epoch: a fresh permutation, its ragged tail dropped.

    Raises:
        ValueError: if there is not one full batch.
    """
    num_batches = growth.steps_per_epoch(num_images, batch_size)
    order = np.random.default_rng((seed, epoch)).permutation(num_images)
    order = order[: num_batches * batch_size].astype(np.int32)
    return order.reshape(num_batches, batch_size)


def make_attempt(
    model: Model,
    objective: Objective,
    schedule: Schedule,
    *,
    reduction: str,
    scale: str,
    dynamic_binarize: bool,
    microbatches: int,
) -> AttemptFn:
    """The loss of a batch and its gradient: ``(state, images, hparams) -> Attempt``.

    ``microbatches`` parts of a batch are computed one after the other, for the memory
    of one. An image's noise is its own, so the results are the same but for rounding.
    """
    num_values = int(np.prod(model.image_shape))

    def batch_loss(params, x, keys, hparams):
        loss, terms = objective(model, params, x, keys, hparams)
        return losses.batch_loss(loss, reduction, num_values), terms

    gradient = jax.value_and_grad(batch_loss, has_aux=True)
    if microbatches > 1:
        gradient = _accumulated(gradient, microbatches)

    def attempt(state: TrainState, images: Array, hparams: Hparams) -> Attempt:
        hparams = schedule(hparams, state.step)
        data_key, key = jax.random.split(jax.random.fold_in(state.key, state.step))
        x = pixels.to_float(images, scale)
        # One for each image: how a batch is cut up is nothing that its noise can see.
        keys = jax.random.split(key, len(x))
        if dynamic_binarize:
            x = jax.vmap(pixels.binarize)(jax.random.split(data_key, len(x)), x)

        (loss, terms), grads = gradient(state.params, x, keys, hparams)
        return Attempt(hparams, x, terms, loss, grads, _norm(grads))

    return attempt


def _norm(tree: Params) -> Float[Array, ""]:
    """The Euclidean norm of all arrays together.

    Of flat ones, which the barriers keep flat: on the CPU XLA takes several times as
    long to sum over the rows and columns of a matrix.
    """
    flat = jax.tree.map(lambda leaf: lax.optimization_barrier(leaf.ravel()), tree)
    return optax.tree.norm(flat)


def _accumulated(gradient: Callable[..., Any], microbatches: int) -> Callable[..., Any]:
    """The same function of a batch, of which it sees one part after the other."""

    def of_batch(params, x, keys, hparams):
        def cut(values):
            # Every part has images from all over the batch, which may be spread over
            # devices: so each of these has its share of each part.
            return values.reshape(-1, microbatches, *values.shape[1:]).swapaxes(0, 1)

        def add(sums, part):
            (loss, terms), grads = gradient(params, *part, hparams)
            return jax.tree.map(jnp.add, sums, (loss, grads)), terms

        nothing = jax.tree.map(jnp.zeros_like, (jnp.float32(0.0), params))
        sums, terms = lax.scan(add, nothing, (cut(x), cut(keys)))
        loss, grads = jax.tree.map(lambda total: total / microbatches, sums)
        return (loss, jax.tree.map(lambda v: v.T.ravel(), terms)), grads

    return of_batch


def make_step(
    attempt: AttemptFn, tx: optax.GradientTransformation, *, first_step: int
) -> StepFn:
    """One optimiser update as a pure function ``(state, images, hparams) -> state``.

    ``tx`` ends at the direction of the update; the learning rate is applied here, where
    it is traced. A step whose loss or gradient is not finite changes nothing but the
    step number and the counters of bad steps.

    Args:
        attempt: what computes loss and gradient.
        tx: is told by ``ok`` whether they are finite. If not, it must keep its state
            and give a finite direction, as ``adam`` does and optax's own do not.
        first_step: of the stage.

    Raises:
        TypeError: if ``tx`` takes no further arguments.
    """
    if not isinstance(tx, optax.GradientTransformationExtraArgs):
        raise TypeError(f"tx: must take ok, as vae_jax.adam does, got {tx!r}")

    def step(state: TrainState, images: Array, hparams: Hparams) -> TrainState:
        tried = attempt(state, images, hparams)
        hparams = tried.hparams
        ok = tried.is_finite()
        clip = jnp.minimum(1.0, hparams.clip_norm / tried.grad_norm)
        grads = jax.tree.map(lambda g: g * clip, tried.grads)
        with jax.named_scope("update"):  # for profiles: what is fused is the optimiser
            direction, opt_state = tx.update(
                grads, state.opt_state, state.params, ok=ok
            )
            lr = jnp.where(ok, hparams.lr, 0.0)
            params = jax.tree.map(lambda p, d: p - lr * d, state.params, direction)
            ema = _average(state, params, hparams.ema_decay, first_step, ok)
        state = state._replace(params=params, opt_state=opt_state, ema=ema)
        means = jax.tree.map(jnp.mean, tried.terms)
        return _count(
            state, {"loss": tried.loss, **means, "grad_norm": tried.grad_norm}, ok
        )

    return step


def make_run_steps(step: StepFn) -> Callable[..., TrainState]:
    """Compiles ``step`` into a loop over batches ``start`` to ``stop`` of an epoch.

    The result is ``run_steps(state, images, order, start, stop, hparams)``. ``images``
    is the training set and ``order[i]`` the rows of batch i. The bounds are traced, so
    one compilation serves every piece, and where an epoch is cut does not change a bit
    of the result. It ends early once ``hparams.max_bad_steps`` in a row were bad. The
    state passed in is donated: do not touch it again.
    """

    @functools.partial(jax.jit, donate_argnums=0)
    def run_steps(
        state: TrainState,
        images: Array,
        order: Int[Array, "T B"],
        start: Int[Array, ""],
        stop: Int[Array, ""],
        hparams: Hparams,
    ) -> TrainState:
        def goes_on(carry):
            i, state = carry
            return (i < stop) & (state.bad_in_a_row < hparams.max_bad_steps)

        def body(carry):
            i, state = carry
            return i + 1, step(state, images[order[i]], hparams)

        return lax.while_loop(goes_on, body, (jnp.int32(start), state))[1]

    return run_steps


def _average(
    state: TrainState,
    params: Params,
    decay: Float[Array, ""],
    first_step: int,
    ok: Bool[Array, ""],
) -> Params | None:
    """The averaged parameters with new ones taken in if they are ``ok``.

    None where averaging is off.

    The first steps of a stage count for more, or its initial values would stay in the
    average for thousands of steps: the bound is that of TensorFlow's
    ExponentialMovingAverage.
    """
    if state.ema is None:
        return None
    taken_in = (state.step - first_step).astype(jnp.float32)
    decay = jnp.minimum(decay, (1 + taken_in) / (10 + taken_in))
    decay = jnp.where(ok, decay, 1.0)
    return jax.tree.map(lambda e, p: decay * e + (1 - decay) * p, state.ema, params)


def _count(
    state: TrainState, means: dict[str, Float[Array, ""]], ok: Bool[Array, ""]
) -> TrainState:
    """The state with a step and, if it is ``ok``, its terms on record.

    Groups of latents that are still to come have no terms.
    """
    sums = {
        name: jnp.where(ok, total + means.get(name, 0.0), total)
        for name, total in state.sums.items()
    }
    return state._replace(
        step=state.step + 1,
        sums=sums,
        good_steps=state.good_steps + ok,
        bad_steps=state.bad_steps + ~ok,
        bad_in_a_row=jnp.where(ok, 0, state.bad_in_a_row + 1),
        last_bad_step=jnp.where(ok, state.last_bad_step, state.step + 1),
    )
