"""The two-level model of ``hvae`` with gated convolutions next to the pixels.

Source:
    Tomczak & Welling 2018 (arXiv:1705.07120), section 4 and appendix, for sizes; where
    the text leaves them open, as in its published code to the best of our knowledge.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.contracts import Likelihood, Model, Normal
from vae_jax.models import hvae, plain
from vae_jax.models.conv import Conv

TOP_KERNELS = (7, 5)  # of q(z2|x), at full and at half resolution; 3 everywhere else
LAST = 6  # channels that the dense layers see
RENDERING = 4  # convolutions at full resolution in the decoder
# Patches of 3x3 and 64 channels; an eighth of them is a fair share of the memory.
FLOATS_PER_PIXEL = 72


class Gated(nn.Module):
    """A convolution times the sigmoid of another, or activated: see ``Hidden``."""

    features: int
    size: int
    stride: int
    style: plain.Style

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        init = plain.INITS[self.style.init]
        if not self.style.gated:
            conv = Conv(self.features, self.size, self.stride, init)
            return self.style.activate(conv(x))
        both = Conv(2 * self.features, self.size, self.stride, init)(x)
        value, gate = jnp.split(both, 2, axis=-1)
        return value * nn.sigmoid(gate)


class Features(nn.Module):
    """Image to one vector: two convolutions for each of ``channels``, and a last one.

    The second of each two halves the resolution.
    """

    channels: tuple[int, ...]
    kernels: tuple[int, ...]  # of the first of each two; 3 from where they end
    style: plain.Style

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B F"]:
        for index, features in enumerate(self.channels):
            size = self.kernels[index] if index < len(self.kernels) else 3
            x = Gated(features, size, 1, self.style)(x)
            x = Gated(features, 3, 2, self.style)(x)
        return Gated(LAST, 3, 1, self.style)(x).reshape(x.shape[0], -1)


class TopEncoder(nn.Module):
    """Image to q(z2|x)."""

    z_dim: int
    channels: tuple[int, ...]
    style: plain.Style

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Normal:
        features = Features(self.channels, TOP_KERNELS, self.style, name="features")
        return self.style.heads(self.z_dim)(features(x))


class Encoder(nn.Module):
    """Image and z2 to q(z1|x, z2)."""

    z_dim: int
    channels: tuple[int, ...]
    hidden_dim: int
    style: plain.Style

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], top: Float[Array, "B Z"]) -> Normal:
        seen = Features(self.channels, (), self.style, name="features")(x)
        known = plain.Hidden(seen.shape[1], 1, self.style, name="hidden")(top)
        joint = plain.Hidden(self.hidden_dim, 1, self.style, name="joint")
        h = joint(jnp.concatenate([seen, known], axis=1))
        return self.style.heads(self.z_dim)(h)


class Decoder(nn.Module):
    """Latents of both levels to a first image, and that to every pixel."""

    image_shape: tuple[int, int, int]
    outputs: int  # for each pixel
    features: int
    hidden_dim: int
    style: plain.Style

    @nn.compact
    def __call__(self, *zs: Float[Array, "B _"]) -> Float[Array, "B H W P"]:
        each = [
            plain.Hidden(self.hidden_dim, 1, self.style, name=f"hidden_{i}")(z)
            for i, z in enumerate(zs)
        ]
        values = math.prod(self.image_shape)
        joint = plain.Hidden(values, 1, self.style, name="joint")
        h = joint(jnp.concatenate(each, axis=1)).reshape(-1, *self.image_shape)
        for _ in range(RENDERING):
            h = Gated(self.features, 3, 1, self.style)(h)
        init = plain.INITS[self.style.init]
        return Conv(self.outputs, 1, 1, init, name="pixels")(h)


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
    """Channels (32, 64), two gated hidden layers of 300 are the published convHVAE.

    The hidden layers are those of p(z1|z2); all else has one dense layer on each way.
    """
    z_dims = plain.z_dims(z_dim, groups=2)
    outputs = image_shape[2] * likelihood.channels_per_pixel
    style = plain.style(**fields)
    networks = hvae.Networks(
        top_encoder=TopEncoder(z_dims[0], channels, style),
        encoder=Encoder(z_dims[1], channels, hidden_dim, style),
        top_decoder=hvae.Gaussian(z_dims[1], hidden_dim, hidden_layers, style),
        decoder=Decoder(image_shape, outputs, channels[-1], hidden_dim, style),
    )
    model = hvae.record(networks, image_shape, z_dims, likelihood, **fields)
    return model._replace(floats_per_pixel=FLOATS_PER_PIXEL)
