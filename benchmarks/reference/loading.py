"""Our parameters into layers of PyTorch."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def dense(
    layer: nn.Linear,
    params: Mapping[str, Any],
    image_in: tuple[int, int, int] | None = None,
    image_out: tuple[int, int, int] | None = None,
) -> None:
    """Ours is transposed, and lays out images with their channels last."""
    kernel, bias = torch.tensor(params["kernel"]), torch.tensor(params["bias"])
    if image_in:
        kernel = kernel.unflatten(0, image_in).permute(2, 0, 1, 3).flatten(0, 2)
    if image_out:
        kernel = kernel.unflatten(1, image_out).permute(0, 3, 1, 2).flatten(1)
        bias = bias.unflatten(0, image_out).permute(2, 0, 1).flatten()
    with torch.no_grad():
        layer.weight.copy_(kernel.T)
        layer.bias.copy_(bias)


def conv(layer: nn.Conv2d, params: Mapping[str, Any]) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(params["kernel"]).permute(3, 2, 0, 1))
        layer.bias.copy_(torch.tensor(params["bias"]))


def conv_transpose(layer: nn.ConvTranspose2d, params: Mapping[str, Any]) -> None:
    """PyTorch slides the kernel flipped."""
    kernel = torch.tensor(params["kernel"]).flip(0, 1).permute(2, 3, 0, 1)
    with torch.no_grad():
        layer.weight.copy_(kernel)
        layer.bias.copy_(torch.tensor(params["bias"]))
