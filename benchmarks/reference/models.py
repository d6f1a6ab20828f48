"""The same VAEs as modules of PyTorch.

Layers, sizes, loss and optimiser are those of ``configs/mnist_mlp.py``,
``mnist_cnn.py`` and each stage of ``mnist_provae.py``. ``load`` copies our parameters
into them, so that both sides can be shown to compute the same.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.reference.loading import conv, conv_transpose, dense

NUM_LATENTS = 20
CNN_CHANNELS = (32, 64)
PROVAE_CHANNELS = (128, 64, 32, 16)
BORDER = 2  # around 28x28 on the grid of 32x32


class VAE(nn.Module):
    """Latents by reparameterisation; the rest is the model's own."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), of images ``[B, 1, H, W]``."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """Logits of the pixels that the loss is taken of."""
        raise NotImplementedError

    def look(self, x: Tensor) -> Any:
        """What ``encode`` and ``observe`` need of the images."""
        return x

    def observe(self, seen: Any) -> tuple[Tensor, Tensor | None]:
        """What the decoder renders, and how often each of its values counts."""
        return seen, None

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Cross-entropy and KL in nats per image, in the mean over the batch."""
        seen = self.look(x)
        mean, logvar = self.encode(seen)
        noise = torch.randn_like(mean) if noise is None else noise
        logits = self.decode(mean + torch.exp(0.5 * logvar) * noise)
        target, weight = self.observe(seen)
        recon = F.binary_cross_entropy_with_logits(
            logits, target, weight, reduction="sum"
        )
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum()
        return (recon + kl) / len(x)


class MLP(VAE):
    """Two hidden layers of 400 on either side."""

    def __init__(self):
        super().__init__()
        self.hidden_in = nn.ModuleList([nn.Linear(784, 400), nn.Linear(400, 400)])
        self.mean, self.logvar = nn.Linear(400, 20), nn.Linear(400, 20)
        self.hidden_out = nn.ModuleList([nn.Linear(20, 400), nn.Linear(400, 400)])
        self.pixels = nn.Linear(400, 784)

    def encode(self, x):
        """See ``VAE``."""
        h = x.flatten(1)
        for layer in self.hidden_in:
            h = F.relu(layer(h))
        return self.mean(h), self.logvar(h)

    def decode(self, z):
        """See ``VAE``."""
        for layer in self.hidden_out:
            z = F.relu(layer(z))
        return self.pixels(z).unflatten(1, (1, 28, 28))

    def load(self, params: Mapping[str, Any]) -> None:
        """Takes over the parameters of ours."""
        for ours, theirs in (("encoder", "hidden_in"), ("decoder", "hidden_out")):
            for index, layer in enumerate(getattr(self, theirs)):
                dense(layer, params[ours]["hidden"][f"Dense_{index}"])
        dense(self.mean, params["encoder"]["heads"]["mean"])
        dense(self.logvar, params["encoder"]["heads"]["logvar"])
        dense(self.pixels, params["decoder"]["pixels"])


class CNN(VAE):
    """4x4 convolutions of stride 2, straight to the latents and back."""

    def __init__(self):
        super().__init__()
        sizes = list(itertools.pairwise((1, *CNN_CHANNELS)))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in sizes)
        flat = 7 * 7 * CNN_CHANNELS[-1]
        self.mean, self.logvar = nn.Linear(flat, 20), nn.Linear(flat, 20)
        self.base = nn.Linear(20, flat)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(b, a, 4, 2, 1) for a, b in reversed(sizes)
        )

    def encode(self, x):
        """See ``VAE``."""
        for layer in self.down:
            x = F.relu(layer(x))
        h = x.flatten(1)
        return self.mean(h), self.logvar(h)

    def decode(self, z):
        """See ``VAE``."""
        h = F.relu(self.base(z)).unflatten(1, (CNN_CHANNELS[-1], 7, 7))
        first, last = self.up
        return last(F.relu(first(h)))

    def load(self, params: Mapping[str, Any]) -> None:
        """Takes over the parameters of ours."""
        shape = (7, 7, CNN_CHANNELS[-1])
        for index, layer in enumerate(self.down):
            conv(layer, params["encoder"][f"Conv_{index}"])
        dense(self.mean, params["encoder"]["heads"]["mean"], image_in=shape)
        dense(self.logvar, params["encoder"]["heads"]["logvar"], image_in=shape)
        dense(self.base, params["decoder"]["base"], image_out=shape)
        for index, layer in enumerate(self.up):
            conv_transpose(layer, params["decoder"][f"ConvTranspose_{index}"])


class ProVAE(VAE):
    """One stage: 3x3 convolutions, halved by means and doubled by repetition."""

    def __init__(self, stage: int):
        super().__init__()
        self.stage, top = stage, PROVAE_CHANNELS[0]
        # The stage below has its own way in and out, for the fade.
        self.ends = sorted({max(stage - 1, 0), stage})
        named = {str(s): PROVAE_CHANNELS[s] for s in self.ends}
        self.into = nn.ModuleDict({s: nn.Conv2d(1, c, 1) for s, c in named.items()})
        self.out = nn.ModuleDict({s: nn.Conv2d(c, 1, 1) for s, c in named.items()})
        pairs = list(itertools.pairwise(PROVAE_CHANNELS[: stage + 1]))
        self.shrink = nn.ModuleList(nn.Conv2d(b, a, 3, 1, 1) for a, b in pairs)
        self.grow = nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1) for a, b in pairs)
        self.base = nn.Conv2d(top, top, 3, 1, 1)
        flat = 4 * 4 * top
        self.mean, self.logvar = nn.Linear(flat, 20), nn.Linear(flat, 20)
        self.spread = nn.Linear(20, flat)
        self.alpha = 1.0
        shares = [F.pad(torch.ones(1, 1, 28, 28), [BORDER] * 4)]
        while shares[-1].shape[-1] > 4:
            shares.append(F.avg_pool2d(shares[-1], 2))
        for level, share in enumerate(shares):  # of true pixels, finest first
            self.register_buffer(f"share_{level}", share)

    def look(self, x):
        """The images of this stage and of those below, finest first."""
        found, top = [F.pad(x, [BORDER] * 4)], len(PROVAE_CHANNELS) - 1
        for level in range(top):
            true, below = self._share(level), self._share(level + 1)
            found.append(F.avg_pool2d(found[-1] * true, 2) / below.clamp_min(1e-9))
        return found[top - self.stage :]

    def _share(self, level: int) -> Tensor:
        return getattr(self, f"share_{level}")

    def encode(self, levels):
        """See ``VAE``."""
        below = self.ends[0]
        h = self.into[str(below)](levels[self.stage - below])
        if self.stage:
            new = self._shrunk(self.into[str(self.stage)](levels[0]), self.stage)
            h = self.alpha * new + (1 - self.alpha) * h
        for finer in range(below, 0, -1):
            h = self._shrunk(h, finer)
        h = F.relu(self.base(h)).flatten(1)
        return self.mean(h), self.logvar(h)

    def decode(self, z):
        """See ``VAE``."""
        h = F.relu(self.spread(z).unflatten(1, (PROVAE_CHANNELS[0], 4, 4)))
        below = self.ends[0]
        for stage in range(1, below + 1):
            h = self._grown(h, stage)
        pixels = self.out[str(below)](h)
        if self.stage:
            new = self.out[str(self.stage)](self._grown(h, self.stage))
            old = F.interpolate(pixels, scale_factor=2.0)
            pixels = self.alpha * new + (1 - self.alpha) * old
        return pixels

    def observe(self, levels):
        """See ``VAE``."""
        share = self._share(len(PROVAE_CHANNELS) - 1 - self.stage)
        return levels[0], share.expand_as(levels[0])

    def _shrunk(self, h: Tensor, stage: int) -> Tensor:
        h = F.leaky_relu(self.shrink[stage - 1](h), 0.2)
        return F.avg_pool2d(h, 2)

    def _grown(self, h: Tensor, stage: int) -> Tensor:
        h = F.interpolate(h, scale_factor=2.0)
        return F.leaky_relu(self.grow[stage - 1](h), 0.2)

    def load(self, params: Mapping[str, Any]) -> None:
        """Takes over the parameters of ours."""
        stages = [params[f"stage_{s}"] for s in range(self.stage + 1)]
        for end in self.ends:
            conv(self.into[str(end)], stages[end]["in"])
            conv(self.out[str(end)], stages[end]["out"])
        for index, stage in enumerate(stages[1:]):
            conv(self.shrink[index], stage["shrink"]["Conv_0"])
            conv(self.grow[index], stage["grow"]["UpConv_0"])
        shape = (4, 4, PROVAE_CHANNELS[0])
        conv(self.base, stages[0]["base"]["Conv_0"])
        dense(self.mean, stages[0]["heads"]["mean"], image_in=shape)
        dense(self.logvar, stages[0]["heads"]["logvar"], image_in=shape)
        dense(self.spread, stages[0]["spread"]["dense"], image_out=shape)


def build(name: str) -> VAE:
    """``mlp``, ``cnn``, or ``provae0`` to ``provae3``."""
    if name.startswith("provae"):
        return ProVAE(int(name.removeprefix("provae")))
    return {"mlp": MLP, "cnn": CNN}[name]()
