"""ResProVAE: every stage adds what the coarser ones left out, from latents of its own.

Sums are of natural parameters: logits, or the means of Gaussians.

Source:
    Denton et al. 2015 (arXiv:1506.05751) and Dorta et al. 2017 (arXiv:1708.05349), for
    Laplacian pyramids of generative models.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from vae_jax import sampling
from vae_jax.contracts import Latent, Likelihood, Model, Normal, Output, Params
from vae_jax.models import growing, plain, pyramid
from vae_jax.models.conv import LECUN, Conv
from vae_jax.models.growing import Part
from vae_jax.sampling import Keys


class Canvas(NamedTuple):
    """What the stages so far have made, on the whole grid of the latest."""

    base: Float[Array, "B h0 w0 F"]  # all that the latents so far say, at stage 0
    added: Float[Array, "B h w P"]  # by the latest stage
    pixels: Float[Array, "B h w P"]


@dataclasses.dataclass(frozen=True, eq=False)
class ResProVAE:
    """The functions of one stage."""

    sizes: growing.Sizes
    parts: list[dict[str, Part]]
    stage: int
    z_dims: tuple[int, ...]
    likelihood: Likelihood
    detach_residual: bool
    independent_stages: bool

    def apply(
        self,
        params: Params,
        x: Float[Array, "B H W C"],
        key: Keys | None,
        alpha: Float[Array, ""] | float,
    ) -> Output:
        net, levels = self._net(params), self.sizes.pyramid.levels(x)
        canvas, latents = None, []
        for stage in range(self.stage + 1):
            own = None if key is None else sampling.fold_in(key, stage)
            posterior = self._posterior(net, stage, levels[stage], canvas)
            share = self._share(stage, alpha)
            latents.append(plain.draw(own, posterior, share))
            canvas = self._grown(net, stage, latents[-1].z, canvas, share)
        pixels = self.sizes.pyramid.crop(canvas.pixels, self.stage)
        return Output(pixels, tuple(latents))

    def encode(
        self,
        params: Params,
        x: Float[Array, "B H W C"],
        key: Keys | None,
        alpha: Float[Array, ""] | float,
    ) -> tuple[Latent, ...]:
        return self.apply(params, x, key, alpha).latents

    def decode(
        self,
        params: Params,
        zs: tuple[Float[Array, "B _"], ...],
        alpha: Float[Array, ""] | float,
    ) -> Float[Array, "B H W P"]:
        last = self._canvases(params, zs, alpha)[-1]
        return self.sizes.pyramid.crop(last.pixels, self.stage)

    def residuals(
        self,
        params: Params,
        zs: tuple[Float[Array, "B _"], ...],
        alpha: Float[Array, ""] | float,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """What each stage adds, and what is there then, as pixels of the last one."""

        def on_last_grid(level, stage):
            for _ in range(self.stage - stage):
                level = pyramid.up(level)
            return self.sizes.pyramid.crop(level, self.stage)

        canvases = list(enumerate(self._canvases(params, zs, alpha)))
        return (
            tuple(on_last_grid(canvas.added, stage) for stage, canvas in canvases),
            tuple(on_last_grid(canvas.pixels, stage) for stage, canvas in canvases),
        )

    def sample_prior(
        self, params: Params, key: PRNGKeyArray, num: int
    ) -> tuple[Float[Array, "B _"], ...]:
        del params
        return tuple(
            jax.random.normal(jax.random.fold_in(key, stage), (num, z_dim))
            for stage, z_dim in enumerate(self.z_dims[: self.stage + 1])
        )

    def _net(self, params: Params) -> Callable[..., Any]:
        return growing.bind(self.parts, params, self.sizes.remat)

    def _share(self, stage: int, alpha: Float[Array, ""] | float):
        """Of a stage in the sum: less than 1 while it enters."""
        return alpha if stage == self.stage > 0 else 1.0

    def _posterior(
        self,
        net: Callable[..., Any],
        stage: int,
        level: Float[Array, "B h w C"],
        coarser: Canvas | None,
    ) -> Normal:
        """Of a stage's latents, given the image at its level and the stages below."""
        if coarser is not None:
            explained = pyramid.up(self.likelihood.mean(coarser.pixels))
            if self.detach_residual:
                explained = lax.stop_gradient(explained)
            level = jnp.concatenate([level - explained, explained], axis=-1)
        h = growing.encoded(net, net(stage, "in", level), stage)
        return net(stage, "heads", h)

    def _canvases(self, params, zs, alpha) -> list[Canvas]:
        net, canvas, canvases = self._net(params), None, []
        for stage, z in zip(range(self.stage + 1), zs, strict=True):
            canvas = self._grown(net, stage, z, canvas, self._share(stage, alpha))
            canvases.append(canvas)
        return canvases

    def _grown(
        self,
        net: Callable[..., Any],
        stage: int,
        z: Float[Array, "B Z"],
        coarser: Canvas | None,
        share: Float[Array, ""] | float,
    ) -> Canvas:
        """The next canvas.

        Latents of every stage join at stage 0 and pass through all blocks up to their
        own: the finer ones too have a deep decoder, and know of the coarser ones.
        """
        base = net(stage, "spread", z)
        if coarser is not None and not self.independent_stages:
            base += coarser.base
        h = growing.decoded(net, base, stage)
        added = share * net(stage, "out", h)
        before = 0.0 if coarser is None else pyramid.up(coarser.pixels)
        return Canvas(base, added, before + added)


def build(
    image_shape: tuple[int, int, int],
    likelihood: Likelihood,
    *,
    stage: int,
    z_dim: int | tuple[int, ...],
    detach_residual: bool,
    independent_stages: bool,
    stage_loss_scale: str,
    **fields: object,
) -> Model:
    """Both ``detach_residual`` and ``independent_stages`` are the original system's.

    With ``detach_residual`` the gradient is not that of the ELBO; with
    ``independent_stages`` what a stage adds to a sample does not depend on the others.
    """
    sizes = growing.sizes(image_shape, likelihood, **fields)
    num_stages = sizes.pyramid.num_stages
    z_dims = plain.z_dims(z_dim, num_stages)
    parts = [_parts(sizes, index, z_dims[index]) for index in range(num_stages)]
    options = likelihood, detach_residual, independent_stages
    network = ResProVAE(sizes, parts, stage, z_dims, *options)
    model = growing.record(
        network, image_shape, z_dims[: stage + 1], likelihood, stage_loss_scale
    )
    return model._replace(residuals=network.residuals)


def _parts(sizes: growing.Sizes, stage: int, z_dim: int) -> dict[str, Part]:
    grid, features = sizes.pyramid.grid(stage), sizes.features(stage)
    base = sizes.features(0)
    colours = sizes.colours * (2 if stage else 1)  # left out, and explained
    # A new stage adds nothing until it has learned to.
    out = Conv(sizes.outputs, 1, 1, nn.initializers.zeros if stage else LECUN)
    return sizes.blocks(stage) | {
        "in": Part(Conv(features[-1], 1, stride=1), (*grid, colours)),
        "heads": Part(plain.Heads(z_dim), (math.prod(base),)),
        "spread": Part(growing.Spread(base), (z_dim,)),
        "out": Part(out, features),
    }
