"""Weights from this project's tree into PyTorch's layers, and gradients back."""

import numpy as np
import torch
from torch import nn

from benchmarks.reference.nets import Grid, Net, Place

Arrays = dict[str, np.ndarray]


def put(net: Net, params: Arrays) -> None:
    """Sets all weights. Those of stages still to come are not needed."""
    with torch.no_grad():
        for path, place in net.places.items():
            kernel = _kernel_to(place, params[f"{path}/kernel"])
            bias = _to_planes(params[f"{path}/bias"], place.outputs)
            for tensor, value in (
                (place.layer.weight, kernel),
                (place.layer.bias, bias),
            ):
                tensor.copy_(torch.from_numpy(np.ascontiguousarray(value)))


def gradients(net: Net) -> Arrays:
    """All gradients, laid out as this project's; zeros where PyTorch has none."""
    found = {}
    for path, place in net.places.items():
        kernel, bias = _grad(place.layer.weight), _grad(place.layer.bias)
        found[f"{path}/kernel"] = _kernel_from(place, kernel)
        found[f"{path}/bias"] = _from_planes(bias, place.outputs)
    return found


def _grad(tensor: torch.Tensor) -> np.ndarray:
    grad = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
    return grad.detach().cpu().contiguous().numpy()


def _kernel_to(place: Place, kernel: np.ndarray) -> np.ndarray:
    if isinstance(place.layer, nn.ConvTranspose2d):  # slides its kernel flipped
        return kernel[::-1, ::-1].transpose(2, 3, 0, 1)
    if isinstance(place.layer, nn.Conv2d):
        return kernel.transpose(3, 2, 0, 1)
    kernel = _to_planes(kernel.T, place.inputs)
    return _to_planes(kernel.T, place.outputs).T


def _kernel_from(place: Place, kernel: np.ndarray) -> np.ndarray:
    if isinstance(place.layer, nn.ConvTranspose2d):
        return kernel.transpose(2, 3, 0, 1)[::-1, ::-1]
    if isinstance(place.layer, nn.Conv2d):
        return kernel.transpose(2, 3, 1, 0)
    kernel = _from_planes(kernel, place.inputs)
    return _from_planes(kernel.T, place.outputs)


def _to_planes(x: np.ndarray, grid: Grid | None) -> np.ndarray:
    """The last axis, a flattened image, from HWC to CHW."""
    if grid is None:
        return x
    channels, height, width = grid
    x = x.reshape(*x.shape[:-1], height, width, channels)
    return np.moveaxis(x, -1, -3).reshape(*x.shape[:-3], -1)


def _from_planes(x: np.ndarray, grid: Grid | None) -> np.ndarray:
    if grid is None:
        return x
    x = x.reshape(*x.shape[:-1], *grid)
    return np.moveaxis(x, -3, -1).reshape(*x.shape[:-3], -1)
