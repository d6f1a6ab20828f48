"""What models that grow have in common: sizes, blocks, one tree for all stages.

The parameters of a stage depend on the grid that images are padded to, which the last
resolution decides, and on nothing else of how many stages there are.

Source:
    Karras et al. 2018 (arXiv:1710.10196), for growth by faded-in stages.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from vae_jax.contracts import Likelihood, Model, Params
from vae_jax.models import plain, pyramid
from vae_jax.models.conv import Conv, UpConv
from vae_jax.models.pyramid import Pyramid

STAGE_LOSS_SCALES = ("none", "area")


class Part(NamedTuple):
    """A network and the shape of what it takes, less the batch."""

    network: nn.Module
    inputs: tuple[int, ...]


class Sizes(NamedTuple):
    """What the images and the ``model`` section make of each stage. See ``sizes``."""

    pyramid: Pyramid
    channels: tuple[int, ...]  # of each stage's features
    colours: int
    outputs: int  # for each pixel
    residual: bool
    group_norm: bool
    remat: bool

    def features(self, stage: int) -> tuple[int, int, int]:
        """The shape of one image's features."""
        return (*self.pyramid.grid(stage), self.channels[stage])

    def blocks(self, stage: int) -> dict[str, Part]:
        """Those of a stage that take features from one grid to the next."""
        if stage == 0:
            return {"base": Part(Base(self.channels[0]), self.features(0))}
        options = {"residual": self.residual, "group_norm": self.group_norm}
        shrink = Shrink(self.channels[stage - 1], **options)
        grow = Grow(self.channels[stage], **options)
        return {
            "shrink": Part(shrink, self.features(stage)),
            "grow": Part(grow, self.features(stage - 1)),
        }


class Shrink(nn.Module):
    """Features of a stage to those of the stage below, at half the resolution.

    ``residual`` adds a second convolution and a way around both, as Karras et al. 2020
    (arXiv:1912.04958, section 4.1) do; so in ``Grow``.
    """

    features: int
    residual: bool
    group_norm: bool

    @nn.compact
    def __call__(self, h: Float[Array, "B H W C"]) -> Float[Array, "B H//2 W//2 D"]:
        new = h
        if self.residual:
            new = _activated(Conv(h.shape[-1], 3, stride=1)(new), self.group_norm)
        new = _activated(Conv(self.features, 3, stride=1)(new), self.group_norm)
        new = pyramid.halve(new)
        if not self.residual:
            return new
        around = Conv(self.features, 1, stride=1)(pyramid.halve(h))
        return (new + around) / math.sqrt(2)  # keeps the variance


class Grow(nn.Module):
    """Features of a stage to those of the stage above, at twice the resolution."""

    features: int
    residual: bool
    group_norm: bool

    @nn.compact
    def __call__(self, h: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W D"]:
        new = _activated(UpConv(self.features, 3)(h), self.group_norm)
        if not self.residual:
            return new
        new = _activated(Conv(self.features, 3, stride=1)(new), self.group_norm)
        around = pyramid.up(Conv(self.features, 1, stride=1)(h))
        return (new + around) / math.sqrt(2)


class Base(nn.Module):
    """Features of stage 0 to one vector."""

    features: int

    @nn.compact
    def __call__(self, h: Float[Array, "B H W C"]) -> Float[Array, "B F"]:
        return nn.relu(Conv(self.features, 3, stride=1)(h)).reshape(h.shape[0], -1)


class Spread(nn.Module):
    """Latents to features of stage 0, before their activation."""

    shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, z: Float[Array, "B Z"]) -> Float[Array, "B H W C"]:
        return plain.DenseImage(self.shape, name="dense")(z)


def _activated(h: Float[Array, "B H W C"], group_norm: bool) -> Float[Array, "B H W C"]:
    """To be called in a compact module, of which the normalisation becomes a part."""
    if group_norm:
        # Groups of four channels, or of as few more as divide them.
        channels = h.shape[-1]
        sizes = range(min(4, channels), channels + 1)
        size = next(size for size in sizes if channels % size == 0)
        h = nn.GroupNorm(num_groups=None, group_size=size)(h)
    return nn.leaky_relu(h, 0.2)


def sizes(
    image_shape: tuple[int, int, int],
    likelihood: Likelihood,
    *,
    start_res: int,
    final_res: int,
    base_ch: int,
    min_ch: int,
    residual: bool,
    group_norm: bool,
    remat: bool,
    **_: object,
) -> Sizes:
    """The sizes of all stages. ``base_ch`` halves with every stage, down to ``min_ch``.

    Raises:
        ValueError: if they do not fit together.
    """
    grids = pyramid.build(image_shape, start_res, final_res)
    if min_ch > base_ch:
        raise ValueError(
            f"model.min_ch: must be at most model.base_ch, {base_ch}, got {min_ch}"
        )
    channels = [max(base_ch // 2**stage, min_ch) for stage in range(grids.num_stages)]
    colours = image_shape[2]
    outputs = colours * likelihood.channels_per_pixel
    options = residual, group_norm, remat
    return Sizes(grids, tuple(channels), colours, outputs, *options)


def bind(
    parts: list[dict[str, Part]], params: Params, remat: bool
) -> Callable[..., Any]:
    """``net(stage, name, x)``: what that part makes of ``x``."""

    def net(stage, name, x):
        call = plain.call(parts[stage][name].network, remat)
        return call(params["net"][f"stage_{stage}"][name], x)

    return net


def encoded(
    net: Callable[..., Any], h: Float[Array, "B H W C"], stage: int
) -> Float[Array, "B F"]:
    """Features of a stage to one vector, by way of all coarser ones."""
    for below in reversed(range(1, stage + 1)):
        h = net(below, "shrink", h)
    return net(0, "base", h)


def decoded(
    net: Callable[..., Any], base: Float[Array, "B h w C"], stage: int
) -> Float[Array, "B H W F"]:
    """What latents were spread to, up to the features of a stage."""
    h = nn.relu(base)
    for finer in range(1, stage + 1):
        h = net(finer, "grow", h)
    return h


def record(
    network: Any,
    image_shape: tuple[int, int, int],
    z_dims: tuple[int, ...],
    likelihood: Likelihood,
    stage_loss_scale: str,
) -> Model:
    """A model out of the functions of ``network``, which has ``sizes`` and ``parts``.

    Raises:
        ValueError: if there is no such ``stage_loss_scale``.
    """
    grids, stage = network.sizes.pyramid, network.stage

    def init(key):
        net = {
            f"stage_{index}": _init_stage(parts, jax.random.fold_in(key, index))
            for index, parts in enumerate(network.parts)
        }
        return {"net": net, "likelihood": {name: likelihood.init() for name in net}}

    def observe(x):
        weight = jnp.asarray(grids.weight(stage))
        return grids.crop(grids.levels(x)[stage], stage), grids.crop(weight, stage)

    return Model(
        image_shape=image_shape,
        z_dims=z_dims,
        likelihood=likelihood,
        init=init,
        apply=network.apply,
        encode=network.encode,
        decode=network.decode,
        sample_prior=network.sample_prior,
        observe=observe,
        stage=stage,
        num_stages=grids.num_stages,
        resolution=grids.grid(stage),
        enlarge=lambda pixels: grids.enlarge(pixels, stage),
        likelihood_params=lambda params: params["likelihood"][f"stage_{stage}"],
        loss_scale=_loss_scale(stage_loss_scale, grids.num_stages - 1 - stage),
    )


def _init_stage(parts: dict[str, Part], key: PRNGKeyArray) -> Params:
    keys = jax.random.split(key, len(parts))
    return {
        name: part.network.init(one, jnp.zeros((1, *part.inputs)))["params"]
        for one, (name, part) in zip(keys, parts.items(), strict=True)
    }


def _loss_scale(name: str, stages_above: int) -> float:
    """``area``: cells of the last grid for each of this one's."""
    if name not in STAGE_LOSS_SCALES:
        raise ValueError(
            "loss.stage_loss_scale: must be one of "
            f"{', '.join(STAGE_LOSS_SCALES)}, got {name!r}"
        )
    return 4.0**stages_above if name == "area" else 1.0
