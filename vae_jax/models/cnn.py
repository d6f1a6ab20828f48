"""Convolutional VAE: 4x4 convolutions of stride 2 down, their transposes up."""

import flax.linen as nn
from jaxtyping import Array, Float

from vae_jax.contracts import Likelihood, Model, Normal
from vae_jax.models import plain
from vae_jax.models.conv import Conv, ConvTranspose

KERNEL = 4


class Encoder(nn.Module):
    """Image to posterior."""

    z_dim: int
    channels: tuple[int, ...]
    hidden_dim: int
    hidden_layers: int
    style: plain.Style

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Normal:
        for features in self.channels:
            x = self.style.activate(Conv(features, KERNEL, stride=2)(x))
        h = x.reshape(x.shape[0], -1)
        h = plain.Hidden(
            self.hidden_dim, self.hidden_layers, self.style, name="hidden"
        )(h)
        return self.style.heads(self.z_dim)(h)


class Decoder(nn.Module):
    """The encoder's mirror image: latents to the parameters of every pixel."""

    pixels_shape: tuple[int, int, int]
    channels: tuple[int, ...]
    hidden_dim: int
    hidden_layers: int
    style: plain.Style

    @nn.compact
    def __call__(self, z: Float[Array, "B Z"]) -> Float[Array, "B H W P"]:
        *sizes, base = halvings(self.pixels_shape[:2], len(self.channels))
        base_shape = (*base, self.channels[-1])
        h = plain.Hidden(
            self.hidden_dim, self.hidden_layers, self.style, name="hidden"
        )(z)
        h = self.style.activate(self.style.dense_image(base_shape, "base")(h))
        outputs = (self.pixels_shape[2], *self.channels[:-1])
        for level in reversed(range(len(sizes))):
            height, width = sizes[level]
            h = ConvTranspose(outputs[level], KERNEL, stride=2)(h)
            h = h[:, :height, :width]  # an odd size is one less than twice its half
            h = self.style.activate(h) if level else h
        return h


def halvings(size: tuple[int, int], times: int) -> list[tuple[int, int]]:
    """``size`` and its successive halves, each rounded up."""
    sizes = [size]
    for _ in range(times):
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


def build(
    image_shape: tuple[int, int, int],
    likelihood: Likelihood,
    *,
    z_dim: int | tuple[int, ...],
    channels: tuple[int, ...],
    hidden_dim: int,
    hidden_layers: int,
    **fields: object,
) -> Model:
    """Channels (32, 64) and no hidden layer is the original system's CNN."""
    (z_dim,) = plain.z_dims(z_dim)
    pixels_shape = plain.pixels_shape(image_shape, likelihood)
    sizes = channels, hidden_dim, hidden_layers, plain.style(**fields)
    return plain.build(
        Encoder(z_dim, *sizes),
        Decoder(pixels_shape, *sizes),
        image_shape,
        z_dim,
        likelihood,
        **fields,
    )
