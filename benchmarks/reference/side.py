"""PyTorch's side of a comparison; the methods are those of ``benchmarks.ours``."""

import time
from typing import Any

import numpy as np
import torch

from benchmarks import cases, workers
from benchmarks.reference import nets, styles, weights

# What torch calls the precisions of jax_default_matmul_precision.
PRECISIONS = {"float32": "highest", "tensorfloat32": "high", "bfloat16": "medium"}


class Side:
    """A network, and one style of training it."""

    def __init__(
        self,
        case: str,
        images: str,
        precision: str,
        changes: dict[str, Any],
        form: str,
    ):
        torch.manual_seed(0)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._precision, self._form = precision, form
        self._case = cases.find(case)
        self._config = cases.config(self._case, changes)
        host_images = np.load(images)
        shape, case = host_images.shape[1:], self._case
        net = nets.build(self._config, shape, case.stage, case.alpha)
        self._data = net.tensors(host_images)
        self._net = net.to(self._device)
        self._step = None

    def steps(self, num: int) -> float:
        """Seconds that further steps take."""
        began = time.perf_counter()
        if self._step is None:
            _set_precision(self._precision, self._device)
            self._step = self._make_step()
        for _ in range(num):
            self._step()
        self._wait()
        return time.perf_counter() - began

    def _make_step(self):
        (batch_size, *_), (lr, *_) = self._config.data.batch_size, self._config.optim.lr
        given = self._net, self._data, batch_size, lr
        if self._form == styles.USUAL:
            return styles.usual(*given)
        return styles.best(*given, self._form)

    def loss_and_grads(self, params: dict) -> tuple[float, dict]:
        """Of the first images, at z = the posterior's mean, in full precision."""
        _set_precision("float32", self._device)
        weights.put(self._net, params)
        (batch_size, *_) = self._config.data.batch_size
        batch = [tensor[:batch_size].to(self._device) for tensor in self._data]
        self._net.zero_grad()
        loss = nets.loss(self._net, *batch, draw=False)
        loss.backward()
        _set_precision(self._precision, self._device)
        return loss.item(), weights.gradients(self._net)

    def forms(self) -> tuple[str, ...]:
        """Of the fast style, those to try."""
        return styles.candidates(self._device, not isinstance(self._net, nets.MLP))

    def peak(self, seconds: float, threads: int | None = None) -> float:
        """Operations a second of products of large matrices, for about so long."""
        usual = torch.get_num_threads()
        torch.set_num_threads(threads or usual)
        size = 1024 if self._device == "cpu" else 8192
        a = torch.full((size, size), 1e-3, device=self._device)
        torch.mm(a, a)
        self._wait()
        began, num = time.perf_counter(), 0
        while (spent := time.perf_counter() - began) < seconds:
            for _ in range(4):
                torch.mm(a, a)
            self._wait()
            num += 4
        torch.set_num_threads(usual)
        return 2 * size**3 * num / spent

    def facts(self) -> dict[str, Any]:
        """What this side ran on, and the most memory that it took so far."""
        on_cuda = self._device == "cuda"
        return {
            "version": f"torch {torch.__version__}",
            "platform": "gpu" if on_cuda else "cpu",
            "device": torch.cuda.get_device_name() if on_cuda else "cpu",
            "threads": torch.get_num_threads(),
            "host_bytes": workers.host_peak_bytes(),
            "device_bytes": torch.cuda.max_memory_allocated() if on_cuda else None,
        }

    def _wait(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()


def _set_precision(precision: str, device: str) -> None:
    """``default`` is JAX's: tensorfloat32 on a GPU, float32 on a CPU."""
    if precision == "default":
        precision = "tensorfloat32" if device == "cuda" else "float32"
    torch.set_float32_matmul_precision(PRECISIONS[precision])
    torch.backends.cudnn.allow_tf32 = precision != "float32"
