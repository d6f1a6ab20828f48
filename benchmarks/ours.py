"""This project's side of a comparison: the loop that training runs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks import work
from configs import mnist_cnn, mnist_mlp, mnist_provae
from vae_jax import assembly, data, losses, pixels

STAGES = 4


def config_of(name: str) -> tuple[ConfigDict, int]:
    """The config of a model by its name here, and the stage that is meant."""
    stage = int(name.removeprefix("provae")) if name.startswith("provae") else 0
    modules = {"mlp": mnist_mlp, "cnn": mnist_cnn}
    return modules.get(name, mnist_provae).get_config(), stage


class Ours:
    """One model with its state on the device, which steps when it is told to."""

    def __init__(self, name: str, batch_size: int):
        config, stage = config_of(name)
        config.data.batch_size = (batch_size,)
        images = work.images()
        part = data.Split(images, None)
        nothing = data.Split(images[:0], None)
        dataset = data.Dataset("random", "drawn", part, nothing, part)
        job = assembly.build(config, dataset)
        self._phase, device = job.phases[stage], jax.devices()[0]
        self._images = jax.device_put(images, device)
        self._state = jax.device_put(job.initial_state(), device)
        whole = len(images) // batch_size
        order = np.random.default_rng(0).permutation(len(images))[: whole * batch_size]
        self._rows = jax.device_put(order.astype(np.int32).reshape(whole, -1), device)

    def steps(self, num: int) -> None:
        """Takes so many, an epoch at a time, and waits for the last."""
        while num:
            piece = min(num, len(self._rows))
            self._state = self._phase.run_steps(
                self._state, self._images, self._rows, 0, piece, self._phase.hparams
            )
            num -= piece
        jax.block_until_ready(self._state)

    def gradient(self) -> dict[str, Any]:
        """Parameters, and loss and gradient of one batch at the posterior's mean."""
        model, hparams = self._phase.model, self._phase.hparams
        x = pixels.to_float(self._images[self._rows[0]], "unit")

        @jax.jit
        def loss(params):
            out = model.apply(params, x, None, hparams.alpha)
            own = model.likelihood_params(params)
            seen = (own, hparams, out.pixels, *model.observe(x))
            kls = [losses.kl_analytic(*of.posterior, *of.prior) for of in out.latents]
            return jnp.mean(model.likelihood.loss(*seen) + sum(kls))

        value, grads = jax.value_and_grad(loss)(self._state.params)
        host = jax.device_get((self._state.params["net"], grads["net"]))
        return {"loss": float(value), "params": host[0], "grads": host[1]}

    def peak_bytes(self) -> int | None:
        """On the device, if that keeps count."""
        stats = jax.devices()[0].memory_stats() or {}
        return stats.get("peak_bytes_in_use")

    def device(self) -> str:
        """What it runs on."""
        return f"jax {jax.__version__}, {jax.devices()[0].device_kind}"
