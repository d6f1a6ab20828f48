"""The networks in plain PyTorch, and their loss. Layout is NCHW, as PyTorch's is."""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import Tensor, nn

from benchmarks.reference import levels

Grid = tuple[int, int, int]  # channels, height, width


class Place(NamedTuple):
    """A layer whose weights lie somewhere in this project's tree."""

    layer: nn.Module
    inputs: Grid | None = None  # of a dense layer whose input is a flattened image
    outputs: Grid | None = None


class Net(nn.Module):
    """A VAE. ``places`` has its layers by their path in this project's tree."""

    def __init__(self):
        super().__init__()
        self.places: dict[str, Place] = {}
        self.register_buffer("weight", torch.ones(1, 1, 1, 1))  # of each pixel

    def at(self, path: str, layer: nn.Module, **grids: Grid | None) -> nn.Module:
        self.places[f"net/{path}"] = Place(layer, **grids)
        return layer

    def heads(self, path: str, features: int, z_dim: int, **grids: Grid) -> None:
        self.mean, self.logvar = (
            self.at(f"{path}/{name}", nn.Linear(features, z_dim), **grids)
            for name in ("mean", "logvar")
        )

    def hidden(
        self, path: str, features: int, width: int, depth: int, grid: Grid | None = None
    ) -> list[nn.Module]:
        """Dense layers with ReLUs, the first on a flattened image if it has a grid."""
        found = []
        for i in range(depth):
            dense, of = nn.Linear(width if i else features, width), None if i else grid
            found += [self.at(f"{path}/hidden/Dense_{i}", dense, inputs=of), nn.ReLU()]
        return found

    def target(self, x: Tensor) -> Tensor:
        """What the likelihood is taken of."""
        return x

    def tensors(self, images: np.ndarray) -> tuple[Tensor, ...]:
        """What a batch is made of, for all images, on the host."""
        x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        return (x.float().div_(255),)


class MLP(Net):
    """Dense layers on either side."""

    def __init__(self, model: ConfigDict, grid: Grid):
        super().__init__()
        (z_dim,), pixels = model.z_dim, math.prod(grid)
        sizes = model.hidden_dim, model.hidden_layers
        self.encoder = nn.Sequential(
            nn.Flatten(), *self.hidden("encoder", pixels, *sizes, grid)
        )
        self.heads("encoder/heads", model.hidden_dim, z_dim)
        last = nn.Linear(model.hidden_dim, pixels)
        self.decoder = nn.Sequential(
            *self.hidden("decoder", z_dim, *sizes),
            self.at("decoder/pixels", last, outputs=grid),
            nn.Unflatten(1, grid),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x)
        return self.mean(h), self.logvar(h)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


class CNN(Net):
    """4x4 convolutions of stride 2, straight to the latents, and their mirror image."""

    def __init__(self, model: ConfigDict, grid: Grid):
        super().__init__()
        (z_dim,), channels = model.z_dim, (grid[0], *model.channels)
        depth = len(model.channels)
        base = (channels[-1], grid[1] // 2**depth, grid[2] // 2**depth)
        down, up, flat = [], [], math.prod(base)
        for i in range(depth):
            conv = nn.Conv2d(channels[i], channels[i + 1], 4, stride=2, padding=1)
            down += [self.at(f"encoder/Conv_{i}", conv), nn.ReLU()]
            level = depth - 1 - i
            back = nn.ConvTranspose2d(
                channels[level + 1], channels[level], 4, stride=2, padding=1
            )
            up += [nn.ReLU(), self.at(f"decoder/ConvTranspose_{i}", back)]
        self.encoder = nn.Sequential(*down, nn.Flatten())
        self.heads("encoder/heads", flat, z_dim, inputs=base)
        first = self.at("decoder/base", nn.Linear(z_dim, flat), outputs=base)
        self.decoder = nn.Sequential(first, nn.Unflatten(1, base), *up)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x)
        return self.mean(h), self.logvar(h)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


class ProVAE(Net):
    """All stages up to one; in its fade it takes a batch on the grid below too."""

    def __init__(self, model: ConfigDict, grid: Grid, stage: int, alpha: float):
        super().__init__()
        self.stage, self.fading, self.final_res = stage, alpha < 1, model.final_res
        self.register_buffer("alpha", torch.tensor(alpha))
        self.sides = [model.start_res * 2**s for s in range(stage + 1)]
        chans = [max(model.base_ch // 2**s, model.min_ch) for s in range(stage + 1)]
        base = (chans[0], self.sides[0], self.sides[0])
        colours, (z_dim,) = grid[0], model.z_dim
        into, out, shrink, grow = ({} for _ in range(4))
        for s, wide in enumerate(chans):
            name = f"stage_{s}"
            into[name] = self.at(f"{name}/in", nn.Conv2d(colours, wide, 1))
            out[name] = self.at(f"{name}/out", nn.Conv2d(wide, colours, 1))
            if s:
                pairs = (wide, chans[s - 1]), (chans[s - 1], wide)
                down, up = (nn.Conv2d(*pair, 3, padding=1) for pair in pairs)
                shrink[name] = self.at(f"{name}/shrink/Conv_0", down)
                grow[name] = self.at(f"{name}/grow/UpConv_0", up)
        self.into, self.out = nn.ModuleDict(into), nn.ModuleDict(out)
        self.shrink, self.grow = nn.ModuleDict(shrink), nn.ModuleDict(grow)
        conv = nn.Conv2d(chans[0], chans[0], 3, padding=1)
        self.base = self.at("stage_0/base/Conv_0", conv)
        flat = math.prod(base)
        self.heads("stage_0/heads", flat, z_dim, inputs=base)
        spread = nn.Linear(z_dim, flat)
        self.spread = self.at("stage_0/spread/dense", spread, outputs=base)
        self.unflatten = nn.Unflatten(1, base)

    def encode(self, x: Tensor, below: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = self.into[f"stage_{self.stage}"](x)
        for s in reversed(range(1, self.stage + 1)):
            h = F.leaky_relu(self.shrink[f"stage_{s}"](h), 0.2)
            h = F.avg_pool2d(h, 2)
            if below is not None and s == self.stage:
                old = self.into[f"stage_{s - 1}"](below)
                h = self.alpha * h + (1 - self.alpha) * old
        h = F.relu(self.base(h)).flatten(1)
        return self.mean(h), self.logvar(h)

    def decode(self, z: Tensor) -> Tensor:
        h = F.relu(self.unflatten(self.spread(z)))
        before = h
        for s in range(1, self.stage + 1):
            before = h
            h = F.interpolate(h, scale_factor=2, mode="nearest")
            h = F.leaky_relu(self.grow[f"stage_{s}"](h), 0.2)
        logits = self.out[f"stage_{self.stage}"](h)
        if self.fading:
            old = self.out[f"stage_{self.stage - 1}"](before)
            old = F.interpolate(old, scale_factor=2, mode="nearest")
            logits = self.alpha * logits + (1 - self.alpha) * old
        return self.target(logits)

    def target(self, x: Tensor) -> Tensor:
        first, last = self.true
        return x[:, :, first:last, first:last]

    def tensors(self, images: np.ndarray) -> tuple[Tensor, ...]:
        x, share = levels.level(images, self.sides[-1], self.final_res)
        (rows,) = np.nonzero(share[0, 0].any(1))
        self.true = int(rows[0]), int(rows[-1]) + 1
        self.weight = self.target(torch.from_numpy(share)).contiguous()
        found = [x]
        if self.fading:
            found.append(levels.level(images, self.sides[-2], self.final_res)[0])
        return tuple(map(torch.from_numpy, found))


def build(
    config: ConfigDict, shape: tuple[int, int, int], stage: int, alpha: float
) -> Net:
    """The network of a config, for images of that height, width and channels."""
    grid = shape[2], shape[0], shape[1]
    if config.model.name == "provae":
        return ProVAE(config.model, grid, stage, alpha)
    return {"mlp": MLP, "cnn": CNN}[config.model.name](config.model, grid)


def loss(net: Net, x: Tensor, *below: Tensor, draw: bool = True) -> Tensor:
    """The negative ELBO in nats per image; at the posterior's mean without a draw."""
    mean, logvar = net.encode(x, *below)
    z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean) if draw else mean
    recon = F.binary_cross_entropy_with_logits(
        net.decode(z), net.target(x), weight=net.weight, reduction="sum"
    )
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum()
    return (recon + kl) / len(x)
