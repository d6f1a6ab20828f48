"""A VAE with one group of latents."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax import sampling
from vae_jax.contracts import Latent, Likelihood, Model, Normal, Output
from vae_jax.models import priors
from vae_jax.sampling import Keys

LECUN = nn.initializers.lecun_normal()
INITS = {
    "lecun": LECUN,
    "he": nn.initializers.he_normal(),
    "glorot": nn.initializers.glorot_uniform(),
}
ACTIVATIONS = {"relu": nn.relu, "tanh": nn.tanh, "gated": nn.relu}


class Style(NamedTuple):
    """How the dense layers of a model are made: fields of the ``model`` section."""

    activation: str  # a key of ``ACTIVATIONS``
    init: str  # a key of ``INITS``
    logvar_range: tuple[float, ...]

    @property
    def gated(self) -> bool:
        return self.activation == "gated"

    def activate(self, h: Float[Array, "..."]) -> Float[Array, "..."]:
        """Of a layer that has no gate."""
        return ACTIVATIONS[self.activation](h)

    def dense(self, features: int, name: str | None = None) -> nn.Dense:
        return nn.Dense(features, kernel_init=INITS[self.init], name=name)

    def dense_image(self, shape: tuple[int, int, int], name: str) -> nn.Module:
        return DenseImage(shape, INITS[self.init], name=name)

    def heads(self, z_dim: int) -> nn.Module:
        return Heads(z_dim, INITS[self.init], self.logvar_range, name="heads")


def style(
    *, activation: str, init: str, logvar_range: tuple[float, ...], **_: object
) -> Style:
    """The style that fields of the ``model`` section, among others, ask for."""
    return Style(activation, init, logvar_range)


class Heads(nn.Module):
    """Features to the posterior: one dense layer for the mean, one for the logvar."""

    z_dim: int
    kernel_init: Callable[..., Array] = LECUN
    logvar_range: tuple[float, ...] = ()

    @nn.compact
    def __call__(self, features: Float[Array, "B F"]) -> Normal:
        def dense(name):
            return nn.Dense(self.z_dim, kernel_init=self.kernel_init, name=name)

        mean, logvar = dense("mean")(features), dense("logvar")(features)
        return Normal(
            mean, jnp.clip(logvar, *self.logvar_range) if self.logvar_range else logvar
        )


class DenseImage(nn.Module):
    """``nn.Dense`` to every channel of every pixel, with its parameters."""

    shape: tuple[int, int, int]
    kernel_init: Callable[..., Array] = LECUN

    @nn.compact
    def __call__(self, h: Float[Array, "B F"]) -> Float[Array, "B H W C"]:
        size = math.prod(self.shape)
        kernel = self.param("kernel", self.kernel_init, (h.shape[-1], size))
        bias = self.param("bias", nn.initializers.zeros, (size,))
        # In this order: on the CPU an activation's derivative is computed in the shape
        # that the bias was added in, and over flat rows it takes several times as long.
        image = (h @ kernel).reshape(-1, *self.shape)
        return image + bias.reshape(1, *self.shape)


class Hidden(nn.Module):
    """Dense layers of equal width, each activated, or times a sigmoid gate.

    Source:
        Dauphin et al. 2017 (arXiv:1612.08083), equation 1, for the gates.
    """

    width: int
    depth: int
    style: Style

    @nn.compact
    def __call__(self, h: Float[Array, "B F"]) -> Float[Array, "B G"]:
        for index in range(self.depth):
            value = self.style.dense(self.width, f"Dense_{index}")(h)
            if self.style.gated:
                h = value * nn.sigmoid(self.style.dense(self.width, f"gate_{index}")(h))
            else:
                h = self.style.activate(value)
        return h


def call(network: nn.Module, remat: bool) -> Callable[..., Any]:
    """``network`` as a function of its parameters and its inputs.

    With ``remat`` what it computes on the way is not kept for the gradient but computed
    again: memory for time.
    """

    def apply(params, *inputs):
        return network.apply({"params": params}, *inputs)

    return jax.checkpoint(apply) if remat else apply


def draw(
    key: Keys | None,
    posterior: Normal,
    weight: Float[Array, ""] | float = 1.0,
) -> Latent:
    """A group of latents whose prior is a standard normal."""
    z = sampling.reparameterize(key, *posterior)
    return Latent(z, posterior, Normal(jnp.zeros_like(z), jnp.zeros_like(z)), weight)


def pixels_shape(
    image_shape: tuple[int, int, int], likelihood: Likelihood
) -> tuple[int, int, int]:
    """Height, width, and decoder outputs for each pixel."""
    height, width, colours = image_shape
    return height, width, colours * likelihood.channels_per_pixel


def z_dims(z_dim: int | tuple[int, ...], groups: int = 1) -> tuple[int, ...]:
    """The number of latents in each group; one number is that of every group.

    Raises:
        ValueError: if there are neither one nor ``groups`` of them.
    """
    dims = z_dim if isinstance(z_dim, tuple) else (z_dim,)
    if len(dims) not in (1, groups):
        lengths = " or ".join(str(n) for n in sorted({1, groups}))
        raise ValueError(
            "model.z_dim: must be a whole number or a tuple of "
            f"{lengths}, got {z_dim!r}"
        )
    return dims if len(dims) == groups else dims * groups


def build(
    encoder: nn.Module,
    decoder: nn.Module,
    image_shape: tuple[int, int, int],
    z_dim: int,
    likelihood: Likelihood,
    *,
    remat: bool,
    **of_prior: object,
) -> Model:
    """Joins an encoder (x to ``Normal``) and a decoder (z to pixels) into a model.

    ``of_prior`` has the fields that ``priors.build`` takes.
    """

    def posterior_of(net, x):
        return call(encoder, remat)(net["encoder"], x)

    prior = priors.build(image_shape, z_dim, posterior_of, **of_prior)

    def init(key):
        encoder_key, decoder_key = jax.random.split(key)
        x, z = jnp.zeros((1, *image_shape)), jnp.zeros((1, z_dim))
        net = {
            "encoder": encoder.init(encoder_key, x)["params"],
            "decoder": decoder.init(decoder_key, z)["params"],
            **prior.init(jax.random.fold_in(key, 2)),
        }
        return {"net": net, "likelihood": likelihood.init()}

    def encode(params, x, key, alpha):
        del alpha
        posterior = posterior_of(params["net"], x)
        z = sampling.reparameterize(key, *posterior)
        return (Latent(z, posterior, prior.density(params["net"], len(x))),)

    def decode(params, zs, alpha):
        del alpha
        (z,) = zs
        return call(decoder, remat)(params["net"]["decoder"], z)

    def sample_prior(params, key, num):
        return (prior.sample(params["net"], key, num),)

    return record(
        image_shape,
        (z_dim,),
        likelihood,
        init=init,
        encode=encode,
        decode=decode,
        sample_prior=sample_prior,
    )


def biased(model: Model, bias: Float[np.ndarray, "H W P"]) -> Model:
    """The same model, whose decoder's last dense layer begins with this bias."""

    def init(key):
        params = model.init(key)
        layer = params["net"]["decoder"]["pixels"]
        layer["bias"] = jnp.asarray(bias, jnp.float32).ravel()
        return params

    return model._replace(init=init)


def record(
    image_shape: tuple[int, int, int],
    z_dims: tuple[int, ...],
    likelihood: Likelihood,
    *,
    encode: Callable[..., tuple[Latent, ...]],
    decode: Callable[..., Array],
    **functions: Callable[..., Any],
) -> Model:
    """A model that does not grow, out of the functions of ``Model`` but ``apply``."""

    def apply(params, x, key, alpha):
        latents = encode(params, x, key, alpha)
        zs = tuple(latent.z for latent in latents)
        return Output(decode(params, zs, alpha), latents)

    return Model(
        image_shape=image_shape,
        z_dims=z_dims,
        resolution=image_shape[:2],
        likelihood=likelihood,
        apply=apply,
        encode=encode,
        decode=decode,
        observe=lambda x: (x, 1.0),
        **functions,
    )
