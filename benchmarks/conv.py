"""Time of this project's convolutions over that of ``lax``, inside a fori_loop.

    python -m benchmarks.conv

For each layer the value, and the value with the gradient of the kernel, of the input
and of both. Compare ratios of one run only; on a GPU they are 1 by construction.
"""

import functools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from vae_jax.models import conv

BATCH = 128
CONV = conv.conv, conv._conv_lax
BACK = conv.conv_transpose, conv._conv_transpose_lax
UP = conv.upsample_conv, conv._upsample_conv_lax
# name: (ours and theirs, (height, width, C), (kh, kw, C, O), further arguments)
LAYERS = {
    "28x28, 4x4 stride 2, 1 -> 32": (CONV, (28, 28, 1), (4, 4, 1, 32), [2]),
    "14x14, 4x4 stride 2, 32 -> 64": (CONV, (14, 14, 32), (4, 4, 32, 64), [2]),
    "7x7, transposed 4x4 stride 2, 64 -> 32": (BACK, (7, 7, 64), (4, 4, 64, 32), [2]),
    "14x14, transposed 4x4 stride 2, 32 -> 1": (BACK, (14, 14, 32), (4, 4, 32, 1), [2]),
    "32x32, 3x3, 16 -> 32": (CONV, (32, 32, 16), (3, 3, 16, 32), [1]),
    "16x16, 3x3, 32 -> 64": (CONV, (16, 16, 32), (3, 3, 32, 64), [1]),
    "8x8, up and 3x3, 64 -> 32": (UP, (8, 8, 64), (3, 3, 64, 32), []),
    "16x16, up and 3x3, 32 -> 16": (UP, (16, 16, 32), (3, 3, 32, 16), []),
}
PARTS = {"value": (), "kernel": (1,), "input": (0,), "both": (0, 1)}


def loop(form: Callable, static: list[int], wrt: tuple[int, ...]) -> Callable:
    """Compiles gradient steps on ``(x, kernel)``; every step depends on the last."""

    def loss(x, kernel):
        return jnp.square(jax.nn.relu(form(x, kernel, *static))).sum()

    def step(_, arrays):
        arrays = list(arrays)
        if not wrt:
            arrays[1] += 1e-12 * form(*arrays, *static).max()
            return tuple(arrays)
        for i, grad in zip(wrt, jax.grad(loss, wrt)(*arrays), strict=True):
            arrays[i] -= 1e-12 * grad
        return tuple(arrays)

    @functools.partial(jax.jit, donate_argnums=0)
    def run(arrays, stop):
        return lax.fori_loop(0, stop, step, arrays)

    return run


def milliseconds(run: Callable, x: jax.Array, kernel: jax.Array, steps: int) -> float:
    """The best of three, per step, after a first call that compiles."""
    arrays, best = jax.block_until_ready(run((x + 0, kernel + 0), 1)), float("inf")
    for _ in range(3):
        start = time.perf_counter()
        arrays = jax.block_until_ready(run(arrays, steps))
        best = min(best, time.perf_counter() - start)
    return 1e3 * best / steps


def main() -> None:
    """Prints one line per layer and part."""
    print(f"{'batch of ' + str(BATCH):42}{'part':8}{'ours':>9}{'lax':>9}{'ratio':>8}")
    for name, (forms, image, shape, static) in LAYERS.items():
        x = jax.random.normal(jax.random.key(0), (BATCH, *image))
        kernel = 0.1 * jax.random.normal(jax.random.key(1), shape)
        for part, wrt in PARTS.items():
            ours, theirs = (
                milliseconds(loop(form, static, wrt), x, kernel, steps)
                for form, steps in zip(forms, (8, 2), strict=True)
            )
            line = f"{ours:7.1f}ms{theirs:7.1f}ms{ours / theirs:8.3f}"
            print(f"{name:42}{part:8}{line}", flush=True)


if __name__ == "__main__":
    main()
