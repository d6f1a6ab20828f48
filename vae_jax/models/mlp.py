"""Dense VAE: hidden layers of equal width on either side."""

import math

import flax.linen as nn
from jaxtyping import Array, Float

from vae_jax.contracts import Likelihood, Model, Normal
from vae_jax.models import plain


class Encoder(nn.Module):
    """Image to posterior."""

    z_dim: int
    hidden_dim: int
    hidden_layers: int
    style: plain.Style

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Normal:
        h = x.reshape(x.shape[0], -1)
        h = plain.Hidden(
            self.hidden_dim, self.hidden_layers, self.style, name="hidden"
        )(h)
        return self.style.heads(self.z_dim)(h)


class Decoder(nn.Module):
    """Latents to the parameters of every pixel."""

    pixels_shape: tuple[int, int, int]
    hidden_dim: int
    hidden_layers: int
    style: plain.Style

    @nn.compact
    def __call__(self, z: Float[Array, "B Z"]) -> Float[Array, "B H W P"]:
        h = plain.Hidden(
            self.hidden_dim, self.hidden_layers, self.style, name="hidden"
        )(z)
        pixels = self.style.dense(math.prod(self.pixels_shape), "pixels")(h)
        return pixels.reshape(-1, *self.pixels_shape)


def build(
    image_shape: tuple[int, int, int],
    likelihood: Likelihood,
    *,
    z_dim: int | tuple[int, ...],
    hidden_dim: int,
    hidden_layers: int,
    **fields: object,
) -> Model:
    """Two hidden layers of 400 and 20 latents is the original system's MLP."""
    (z_dim,) = plain.z_dims(z_dim)
    pixels_shape = plain.pixels_shape(image_shape, likelihood)
    sizes = hidden_dim, hidden_layers, plain.style(**fields)
    return plain.build(
        Encoder(z_dim, *sizes),
        Decoder(pixels_shape, *sizes),
        image_shape,
        z_dim,
        likelihood,
        **fields,
    )
