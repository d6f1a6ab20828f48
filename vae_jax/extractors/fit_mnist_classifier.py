"""Trains the classifier of ``mnist_classifier`` on MNIST and writes its weights.

    python -m vae_jax.extractors.fit_mnist_classifier [--seed=SEED] [--out=FILE]

The package knows its weights by their sum: to replace them, put the sha256 that this
prints into ``mnist_classifier.SHA256``.
"""

import argparse
import functools
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from vae_jax import data, evaluate, growth, pixels, train
from vae_jax.contracts import Params
from vae_jax.data import npz
from vae_jax.extractors import mnist_classifier
from vae_jax.models import classifier

SEED = 0
EPOCHS = 14
BATCH = 128
LR = 2e-3  # at its peak, after a twentieth of the steps; falls to 0 along a cosine
SHIFT = 2  # pixels: the most that a training image is moved along each axis


class State(NamedTuple):
    """What training changes; ``key`` is the root of all draws and never advances."""

    step: Int[Array, ""]
    params: Params
    opt_state: optax.OptState
    key: PRNGKeyArray


def main(argv: Sequence[str]) -> int:
    """Trains, writes the file and prints its size, its sum and the test accuracy."""
    parser = argparse.ArgumentParser(
        prog="python -m vae_jax.extractors.fit_mnist_classifier",
        description="Trains the classifier of mnist_classifier on MNIST.",
    )
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=pathlib.Path, default=mnist_classifier.WEIGHTS)
    args = parser.parse_args(argv)

    wanted = data.Wanted(None, None, seed=0, image_size=None, channels=0, num_images=0)
    cut = {"valid_size": 0, "test_size": 0, "binarize": "none", "limit": 0}
    mnist = data.load("mnist", wanted, **cut)
    params = fit(mnist.train, args.seed, epochs=EPOCHS, batch_size=BATCH)
    arrays = mnist_classifier.flatten(params)
    npz.write(args.out, arrays)
    print(f"{args.out}: {args.out.stat().st_size} bytes")
    print(f"sha256 {mnist_classifier.digest(arrays)}")
    print(f"test accuracy {accuracy(params, mnist.test):.2%}")
    return 0


def fit(split: data.Split, seed: int, *, epochs: int, batch_size: int) -> Params:
    """Parameters, on the host, after Adam on randomly shifted images.

    The same arguments give the same bits on one machine with the same number of cores.

    Raises:
        ValueError: if the seed is negative, or there is not one full batch.
    """
    if seed < 0:
        raise ValueError(f"seed: must be 0 or more, got {seed}")
    per_epoch = growth.steps_per_epoch(len(split.images), batch_size)
    steps = epochs * per_epoch
    lr = optax.schedules.warmup_cosine_decay_schedule(0.0, LR, steps // 20, steps)
    tx = optax.adam(lr)
    run_steps = make_run_steps(tx)
    state = init_state(tx, seed)
    images, labels = jnp.asarray(split.images), jnp.asarray(split.labels)
    for epoch in range(epochs):
        order = train.epoch_order(seed, epoch, len(images), batch_size)
        state, loss = run_steps(state, images, labels, order, 0, per_epoch)
        print(f"epoch {epoch + 1} of {epochs}: {loss / per_epoch:.4f} nats", flush=True)
    return jax.device_get(state.params)


def init_state(tx: optax.GradientTransformation, seed: int) -> State:
    """The state before the first step."""

    @jax.jit
    def make(key: PRNGKeyArray) -> State:
        init_key, root_key = jax.random.split(key)
        params = classifier.init(init_key)
        return State(jnp.int32(0), params, tx.init(params), root_key)

    return make(jax.random.key(seed))


def make_run_steps(tx: optax.GradientTransformation) -> Callable[..., tuple]:
    """Compiles steps ``start`` to ``stop`` of an epoch into one loop.

    The result is ``run_steps(state, images, labels, order, start, stop)``, which gives
    the state, and the sum of the steps' losses. ``order[i]`` is the rows of batch i.
    The state passed in is donated.
    """

    @functools.partial(jax.jit, donate_argnums=0)
    def run_steps(
        state: State,
        images: UInt8[Array, "N H W C"],
        labels: Int[Array, " N"],
        order: Int[Array, "T B"],
        start: Int[Array, ""],
        stop: Int[Array, ""],
    ) -> tuple[State, Float[Array, ""]]:
        def body(i, carry):
            state, total = carry
            key = jax.random.fold_in(state.key, state.step)
            batch = shifted(key, images[order[i]])
            loss, grads = jax.value_and_grad(cross_entropy)(
                state.params, batch, labels[order[i]]
            )
            updates, opt_state = tx.update(grads, state.opt_state)
            params = optax.apply_updates(state.params, updates)
            return State(state.step + 1, params, opt_state, state.key), total + loss

        return jax.lax.fori_loop(start, stop, body, (state, jnp.float32(0.0)))

    return run_steps


def shifted(
    key: PRNGKeyArray, images: UInt8[Array, "B H W C"]
) -> UInt8[Array, "B H W C"]:
    """Each image moved by up to ``SHIFT`` pixels along both axes, black behind it."""
    border = ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0))
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * SHIFT + 1)

    def cut(image, corner):
        start = (corner[0], corner[1], 0)
        return jax.lax.dynamic_slice(image, start, images.shape[1:])

    return jax.vmap(cut)(jnp.pad(images, border), corners)


def cross_entropy(
    params: Params, images: UInt8[Array, "B H W C"], labels: Int[Array, " B"]
) -> Float[Array, ""]:
    """Mean over the batch, in nats."""
    logits = classifier.logits(params, pixels.to_float(images, "unit"))
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.mean(losses)


def accuracy(params: Params, split: data.Split) -> float:
    """The share of images whose most likely class is their label."""
    found = evaluate.in_batches(
        lambda batch, rows: _classes(params, batch), split.images, BATCH
    )
    return float(np.mean(found == split.labels))


@jax.jit
def _classes(params: Params, images: UInt8[Array, "B 28 28 1"]) -> Int[Array, " B"]:
    return jnp.argmax(classifier.logits(params, pixels.to_float(images, "unit")), -1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
