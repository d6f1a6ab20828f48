"""PyTorch's side of a comparison, in one of its styles."""

import itertools
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import work
from benchmarks.reference import models, steps


class Theirs:
    """One model on the device, which steps when it is told to."""

    def __init__(self, name: str, batch_size: int, style: str):
        torch.manual_seed(0)
        self._name = name
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._images = torch.tensor(work.images()).permute(0, 3, 1, 2).contiguous()
        self._model = models.build(name).to(self._device)
        given = self._model, self._images, batch_size
        self._steps = {
            "usual": steps.usual,
            "memory": lambda *given: steps.best(*given, compiled=False),
            "compiled": lambda *given: steps.best(*given, compiled=True),
        }[style](*given)
        self._batch_size = batch_size

    def steps(self, num: int) -> None:
        """Takes so many, and waits for the last."""
        for _ in itertools.islice(self._steps, num):
            pass
        if self._device == "cuda":
            torch.cuda.synchronize()

    def agreement(self, ours: dict[str, Any]) -> dict[str, float]:
        """How far the loss and the gradient on our parameters are from ours."""
        model, grads = models.build(self._name), models.build(self._name)
        model.load(ours["params"])
        grads.load(ours["grads"])  # laid out as PyTorch's
        whole = len(self._images) // self._batch_size
        order = np.random.default_rng(0).permutation(len(self._images))
        rows = torch.tensor(order[: whole * self._batch_size].reshape(whole, -1)[0])
        x = self._images[rows].float() / 255
        loss = model(x, noise=torch.zeros(len(x), models.NUM_LATENTS))
        loss.backward()
        found, expected = (
            torch.cat([one.flatten() for one in side])
            for side in (
                [p.grad for p in model.parameters()],
                [p.detach() for p in grads.parameters()],
            )
        )
        return {
            "loss": abs(loss.item() / ours["loss"] - 1),
            "gradient": ((found - expected).norm() / expected.norm()).item(),
        }

    def flops(self) -> int:
        """Of the products and convolutions of one step, both ways."""
        x = torch.zeros(self._batch_size, *self._images.shape[1:])
        model = models.build(self._name)
        with FlopCounterMode(display=False) as counter:
            model(x).backward()
        return counter.get_total_flops()

    def peak_bytes(self) -> int | None:
        """On the device, if that keeps count."""
        return torch.cuda.max_memory_allocated() if self._device == "cuda" else None

    def device(self) -> str:
        """What it runs on."""
        where = torch.cuda.get_device_name() if self._device == "cuda" else "cpu"
        return f"torch {torch.__version__}, {where}, {torch.get_num_threads()} threads"
