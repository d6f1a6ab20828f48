"""ProVAE: one group of latents, and images whose newest resolution is faded in."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from vae_jax.contracts import Latent, Likelihood, Model, Output, Params
from vae_jax.models import growing, plain, pyramid
from vae_jax.models.conv import Conv
from vae_jax.models.growing import Part
from vae_jax.sampling import Keys


@dataclasses.dataclass(frozen=True, eq=False)
class ProVAE:
    """The functions of one stage."""

    sizes: growing.Sizes
    parts: list[dict[str, Part]]
    stage: int
    z_dim: int

    def encode(
        self,
        params: Params,
        x: Float[Array, "B H W C"],
        key: Keys | None,
        alpha: Float[Array, ""] | float,
    ) -> tuple[Latent, ...]:
        net, levels = self._net(params), self.sizes.pyramid.levels(x)
        below = max(self.stage - 1, 0)
        h = net(below, "in", levels[below])
        if self.stage:
            new = net(self.stage, "in", levels[self.stage])
            h = faded(net(self.stage, "shrink", new), h, alpha)
        posterior = net(0, "heads", growing.encoded(net, h, below))
        return (plain.draw(key, posterior),)

    def decode(
        self,
        params: Params,
        zs: tuple[Float[Array, "B _"], ...],
        alpha: Float[Array, ""] | float,
    ) -> Float[Array, "B H W P"]:
        net, (z,) = self._net(params), zs
        below = max(self.stage - 1, 0)
        h = growing.decoded(net, net(0, "spread", z), below)
        pixels = net(below, "out", h)
        if self.stage:
            new = net(self.stage, "out", net(self.stage, "grow", h))
            pixels = faded(new, pyramid.up(pixels), alpha)
        return self.sizes.pyramid.crop(pixels, self.stage)

    def apply(
        self,
        params: Params,
        x: Float[Array, "B H W C"],
        key: Keys | None,
        alpha: Float[Array, ""] | float,
    ) -> Output:
        latents = self.encode(params, x, key, alpha)
        return Output(self.decode(params, (latents[0].z,), alpha), latents)

    def sample_prior(
        self, params: Params, key: PRNGKeyArray, num: int
    ) -> tuple[Float[Array, "B _"], ...]:
        del params
        return (jax.random.normal(key, (num, self.z_dim)),)

    def _net(self, params: Params) -> Callable[..., Any]:
        return growing.bind(self.parts, params, self.sizes.remat)


def faded(
    new: Float[Array, "B H W C"],
    old: Float[Array, "B H W C"],
    alpha: Float[Array, ""] | float,
) -> Float[Array, "B H W C"]:
    """From the old at ``alpha`` 0 to the new at 1, exact at both ends."""
    return alpha * new + (1.0 - alpha) * old


def build(
    image_shape: tuple[int, int, int],
    likelihood: Likelihood,
    *,
    stage: int,
    z_dim: int | tuple[int, ...],
    stage_loss_scale: str,
    **fields: object,
) -> Model:
    """Neither ``residual`` nor ``group_norm`` is the original system's ProVAE."""
    (z_dim,) = plain.z_dims(z_dim)
    sizes = growing.sizes(image_shape, likelihood, **fields)
    parts = [_parts(sizes, index, z_dim) for index in range(sizes.pyramid.num_stages)]
    network = ProVAE(sizes, parts, stage, z_dim)
    return growing.record(network, image_shape, (z_dim,), likelihood, stage_loss_scale)


def _parts(sizes: growing.Sizes, stage: int, z_dim: int) -> dict[str, Part]:
    grid, features = sizes.pyramid.grid(stage), sizes.features(stage)
    parts = sizes.blocks(stage) | {
        "in": Part(Conv(features[-1], 1, stride=1), (*grid, sizes.colours)),
        "out": Part(Conv(sizes.outputs, 1, stride=1), features),
    }
    if stage == 0:
        flat = math.prod(features)
        parts |= {
            "heads": Part(plain.Heads(z_dim), (flat,)),
            "spread": Part(growing.Spread(features), (z_dim,)),
        }
    return parts
