"""A linear VAE as a record of functions: everything about it has a closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import small

from vae_jax.contracts import Latent, Model, Normal, Output
from vae_jax.sampling import reparameterize

SHAPE = (3, 1, 1)
# Orthogonal columns, so that the posterior of a standard normal prior is diagonal.
WEIGHTS = np.float32([[1.0, 0.5], [1.0, -0.5], [-0.5, 0.0]])
INFERENCE = ("matrix", "offset", "logvar")  # parameters of q, and of nothing else


@functools.cache
def build(include_const=True):
    """p(z) = N(mean, var), p(x|z) = N(W z + b, sigma), q(z|x) = N(A x + c, var)."""

    def encode(params, x, key, alpha):
        del alpha
        net, flat = params["net"], x.reshape(len(x), -1)
        mean = flat @ net["matrix"] + net["offset"][None]
        posterior = Normal(mean, jnp.broadcast_to(net["logvar"], mean.shape))
        prior = (net["prior_mean"], net["prior_logvar"])
        prior = Normal(*(jnp.broadcast_to(of, mean.shape) for of in prior))
        return (Latent(reparameterize(key, *posterior), posterior, prior),)

    def decode(params, zs, alpha):
        del alpha
        pixels = zs[0] @ params["net"]["weights"].T + params["net"]["bias"][None]
        return pixels.reshape(-1, *SHAPE)

    def apply(params, x, key, alpha):
        latents = encode(params, x, key, alpha)
        return Output(decode(params, (latents[0].z,), alpha), latents)

    likelihood = small.likelihood(
        "gaussian", sigma_learnable=True, include_const=include_const
    )
    return Model(
        image_shape=SHAPE,
        z_dims=(2,),
        likelihood=likelihood,
        init=lambda key: params_like(key),
        apply=apply,
        encode=encode,
        decode=decode,
        sample_prior=lambda params, key, num: (jax.random.normal(key, (num, 2)),),
        observe=lambda x: (x, 1.0),
    )


def exact():
    """Parameters at which q is the posterior of a standard normal prior, sigma 1."""
    var = 1 / (1 + (WEIGHTS**2).sum(axis=0))
    net = {
        "weights": WEIGHTS,
        "bias": np.zeros(3),
        "prior_mean": np.zeros(2),
        "prior_logvar": np.zeros(2),
        "matrix": WEIGHTS * var,
        "offset": np.zeros(2),
        "logvar": np.log(var),
    }
    net = {name: jnp.asarray(of, jnp.float32) for name, of in net.items()}
    return {"net": net, "likelihood": {"log_sigma": jnp.float32(0.0)}}


def params_like(key):
    """The same with noise, so that q is not the posterior, nor anything zero."""
    leaves, tree = jax.tree.flatten(exact())
    keys = jax.random.split(key, len(leaves))
    noisy = [
        leaf + 0.3 * jax.random.normal(k, leaf.shape)
        for k, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, noisy)


def log_px(params, x):
    """Of each image, in float64."""
    net = {name: np.asarray(of, np.float64) for name, of in params["net"].items()}
    sigma = np.exp(float(params["likelihood"]["log_sigma"]))
    weights = net["weights"]
    mean = net["bias"] + weights @ net["prior_mean"]
    cov = weights @ np.diag(np.exp(net["prior_logvar"])) @ weights.T
    cov += sigma**2 * np.eye(3)
    gap = np.asarray(x, np.float64).reshape(len(x), -1) - mean
    squares = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(cov), gap)
    return -0.5 * (squares + np.linalg.slogdet(2 * np.pi * cov)[1])
