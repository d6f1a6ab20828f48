"""Two levels of latents: a top z2 with any prior, and z1 drawn from p(z1|z2).

Groups are coarsest first: (z2, z1).

Source:
    Tomczak & Welling 2018 (arXiv:1705.07120), section 3.
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax import sampling
from vae_jax.contracts import Latent, Likelihood, Model, Normal
from vae_jax.models import plain, priors


class Networks(NamedTuple):
    """The four, under their names in ``params["net"]``."""

    top_encoder: nn.Module  # x to q(z2|x)
    encoder: nn.Module  # x, z2 to q(z1|x, z2)
    top_decoder: nn.Module  # z2 to p(z1|z2)
    decoder: nn.Module  # z2, z1 to pixels


class Joint(nn.Module):
    """Dense layers, ``depth`` on the way from each of several inputs.

    The last layer sees them all, the others one each.
    """

    width: int
    depth: int
    style: plain.Style

    @nn.compact
    def __call__(self, *inputs: Float[Array, "B ..."]) -> Float[Array, "B F"]:
        def hidden(depth, name):
            return plain.Hidden(self.width, depth, self.style, name=name)

        flat = [one.reshape(one.shape[0], -1) for one in inputs]
        if len(flat) == 1:
            return hidden(self.depth, "hidden")(*flat)
        alone = max(self.depth - 1, 0)
        each = [hidden(alone, f"hidden_{i}")(one) for i, one in enumerate(flat)]
        return hidden(self.depth - alone, "joint")(jnp.concatenate(each, axis=1))


class Gaussian(nn.Module):
    """Any inputs to latents."""

    z_dim: int
    hidden_dim: int
    hidden_layers: int
    style: plain.Style

    @nn.compact
    def __call__(self, *inputs: Float[Array, "B ..."]) -> Normal:
        h = Joint(self.hidden_dim, self.hidden_layers, self.style, name="layers")
        return self.style.heads(self.z_dim)(h(*inputs))


class Decoder(nn.Module):
    """Latents of both levels to the parameters of every pixel."""

    pixels_shape: tuple[int, int, int]
    hidden_dim: int
    hidden_layers: int
    style: plain.Style

    @nn.compact
    def __call__(self, *zs: Float[Array, "B _"]) -> Float[Array, "B H W P"]:
        h = Joint(self.hidden_dim, self.hidden_layers, self.style, name="layers")(*zs)
        pixels = self.style.dense(math.prod(self.pixels_shape), "pixels")(h)
        return pixels.reshape(-1, *self.pixels_shape)


def record(
    networks: Networks,
    image_shape: tuple[int, int, int],
    z_dims: tuple[int, int],
    likelihood: Likelihood,
    *,
    remat: bool,
    **of_prior: object,
) -> Model:
    """Joins four networks into a model. ``z_dims`` are those of z2 and of z1.

    ``of_prior`` has the fields that ``priors.build`` takes.
    """

    def run(net, name, *inputs):
        return plain.call(getattr(networks, name), remat)(net[name], *inputs)

    def top_posterior(net, x):
        return run(net, "top_encoder", x)

    prior = priors.build(image_shape, z_dims[0], top_posterior, **of_prior)

    def init(key):
        x = jnp.zeros((1, *image_shape))
        top, fine = (jnp.zeros((1, z_dim)) for z_dim in z_dims)
        inputs = Networks((x,), (x, top), (top,), (top, fine))
        *keys, prior_key = jax.random.split(key, 1 + len(networks))
        net = {
            name: network.init(one, *of)["params"]
            for name, network, one, of in zip(
                Networks._fields, networks, keys, inputs, strict=True
            )
        }
        return {"net": net | prior.init(prior_key), "likelihood": likelihood.init()}

    def encode(params, x, key, alpha):
        del alpha
        net = params["net"]
        top_key, fine_key = (None, None) if key is None else sampling.split(key)
        posterior = top_posterior(net, x)
        top = sampling.reparameterize(top_key, *posterior)
        groups = [Latent(top, posterior, prior.density(net, len(x)))]
        posterior = run(net, "encoder", x, top)
        fine = sampling.reparameterize(fine_key, *posterior)
        groups.append(Latent(fine, posterior, run(net, "top_decoder", top)))
        return tuple(groups)

    def decode(params, zs, alpha):
        del alpha
        return run(params["net"], "decoder", *zs)

    def complete(params, key, top):
        fine = run(params["net"], "top_decoder", top)
        return top, sampling.reparameterize(key, *fine)

    def sample_prior(params, key, num):
        top_key, fine_key = jax.random.split(key)
        return complete(params, fine_key, prior.sample(params["net"], top_key, num))

    return plain.record(
        image_shape,
        z_dims,
        likelihood,
        init=init,
        encode=encode,
        decode=decode,
        sample_prior=sample_prior,
        complete=complete,
    )


def build(
    image_shape: tuple[int, int, int],
    likelihood: Likelihood,
    *,
    z_dim: int | tuple[int, ...],
    hidden_dim: int,
    hidden_layers: int,
    **fields: object,
) -> Model:
    """Two gated hidden layers of 300 and 40 latents twice is the published HVAE.

    ``z_dim`` is that of both levels, or of z2 and of z1. ``logvar_range`` is that of
    p(z1|z2) too.
    """
    z_dims = plain.z_dims(z_dim, groups=2)
    pixels_shape = plain.pixels_shape(image_shape, likelihood)
    sizes = hidden_dim, hidden_layers, plain.style(**fields)
    networks = Networks(
        top_encoder=Gaussian(z_dims[0], *sizes),
        encoder=Gaussian(z_dims[1], *sizes),
        top_decoder=Gaussian(z_dims[1], *sizes),
        decoder=Decoder(pixels_shape, *sizes),
    )
    return record(networks, image_shape, z_dims, likelihood, **fields)
