"""This project's side: ``train.make_run_steps`` by way of ``assembly.build``."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import cases, workers
from vae_jax import assembly, machine, objectives, train
from vae_jax.data.dataset import Dataset, Split

NOISE = 0.02  # added to initial weights, so that biases of zero count in the check


def dataset(images: np.ndarray) -> Dataset:
    """Training images alone."""
    none = Split(images[:0], None)
    return Dataset("mnist", "benchmark", Split(images, None), none, none)


def peak_flops(seconds: float) -> float:
    """Operations a second of products of large matrices, for about so long."""
    size = 1024 if jax.default_backend() == "cpu" else 8192
    a = jnp.full((size, size), 1e-3)
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(a, a))
    began, num = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        jax.block_until_ready([product(a, a) for _ in range(4)])
        num += 4
    return 2 * size**3 * num / spent


class Side:
    """A job at the stage of a case, as training runs it."""

    def __init__(self, case: str, images: str, precision: str, changes: dict[str, Any]):
        if precision != "default":
            jax.config.update("jax_default_matmul_precision", precision)
        self._case, self._at = cases.find(case), 0
        self._config = cases.config(self._case, changes)
        host_images = np.load(images)
        job = assembly.build(self._config, dataset(host_images))
        self._phase = job.phases[self._case.stage]
        stage = self._phase.stage
        fade_steps = stage.fade_steps // 2 if self._case.fading else stage.fade_steps
        step = jnp.int32(stage.first_step + fade_steps)
        state = job.initial_state()._replace(step=step)
        self._state = jax.device_put(state, jax.devices()[0])
        self._images = jax.device_put(host_images)
        self._epoch = 0
        self._next_epoch()

    def _next_epoch(self) -> None:
        stage, num_images = self._phase.stage, len(self._images)
        given = self._config.seed, self._epoch, num_images, stage.batch_size
        self._order = jax.device_put(train.epoch_order(*given))
        self._state = train.start_epoch(self._state)
        self._epoch, self._at = self._epoch + 1, 0

    def steps(self, num: int) -> float:
        """Seconds that further steps take, in pieces of at most an epoch."""
        began = time.perf_counter()
        while num:
            if self._at == len(self._order):
                self._next_epoch()
            piece = min(num, len(self._order) - self._at)
            self._state = self._phase.run_steps(
                self._state,
                self._images,
                self._order,
                self._at,
                self._at + piece,
                self._phase.hparams,
            )
            int(self._state.step)  # as training does after every piece
            self._at, num = self._at + piece, num - piece
        return time.perf_counter() - began

    def loss_and_grads(self) -> tuple[float, dict, dict]:
        """Of the first images, at z = the posterior's mean, in full precision.

        Returns:
            The loss, and gradients and weights by their path in the tree.
        """
        model = self._phase.model
        still = model._replace(
            apply=lambda p, x, _, alpha: model.apply(p, x, None, alpha)
        )
        attempt = train.make_attempt(
            still,
            objectives.elbo(self._config.loss.kl, self._config.loss.kl_samples),
            lambda hparams, step: hparams,
            reduction=self._config.loss.reduction,
            scale=self._config.data.scale,
            dynamic_binarize=False,
            microbatches=1,
        )
        rng = np.random.default_rng(0)
        params = jax.tree.map(
            lambda p: p + NOISE * rng.standard_normal(p.shape).astype(np.float32),
            jax.device_get(self._state.params),
        )
        hparams = self._phase.hparams._replace(alpha=jnp.float32(self._case.alpha))
        batch = self._images[: self._phase.stage.batch_size]
        state = self._state._replace(params=params)
        with jax.default_matmul_precision("float32"):
            tried = jax.jit(attempt)(state, batch, hparams)
        return float(tried.loss), by_path(tried.grads), by_path(params)

    def peak(self, seconds: float) -> float:
        return peak_flops(seconds)

    def facts(self) -> dict[str, Any]:
        """What this side ran on, and the most memory that it took so far."""
        device = jax.devices()[0]
        stats = device.memory_stats() or {}
        return {
            "version": f"jax {jax.__version__}",
            "platform": device.platform,
            "device": device.device_kind,
            "threads": machine.cores(),
            "host_bytes": workers.host_peak_bytes(),
            "device_bytes": stats.get("peak_bytes_in_use"),
        }


def by_path(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a tree on the host, by names such as ``net/encoder/kernel``."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(tree))
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }
