"""Training steps of PyTorch: as most people write them, and as fast as it goes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.reference.models import VAE


def adam(model: VAE, fused: bool) -> torch.optim.Optimizer:
    """With the learning rate and the constants of ours."""
    return torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)


def usual(model: VAE, images: Tensor, batch_size: int) -> Iterator[None]:
    """Steps as most people write them: a DataLoader, a loop, a running loss."""
    device = next(model.parameters()).device
    floats = torch.utils.data.TensorDataset(images.float() / 255)
    loader = torch.utils.data.DataLoader(
        floats, batch_size, shuffle=True, drop_last=True
    )
    optimizer, total = adam(model, fused=False), 0.0
    while True:
        for (batch,) in loader:
            batch = batch.to(device)
            optimizer.zero_grad()
            loss = model(batch)
            loss.backward()
            optimizer.step()
            total += loss.item()
            yield


def best(model: VAE, images: Tensor, batch_size: int, compiled: bool) -> Iterator[None]:
    """Steps on bytes that lie on the device, with a fused optimiser, never waiting."""
    device = next(model.parameters()).device
    images = images.to(device)
    optimizer = adam(model, fused=True)

    def loss_of(batch: Tensor) -> Tensor:
        return model(batch.float() / 255)

    if compiled:
        mode = "reduce-overhead" if device.type == "cuda" else None
        loss_of = torch.compile(loss_of, mode=mode)
    while True:
        for rows in torch.randperm(len(images), device=device).split(batch_size):
            if len(rows) == batch_size:
                optimizer.zero_grad(set_to_none=True)
                loss_of(images[rows]).backward()
                optimizer.step()
                yield
