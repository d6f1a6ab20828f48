"""How far posteriors are from their priors."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import logsumexp
from jaxtyping import Array, Float

from vae_jax.losses.events import require_same_shape, sum_event
from vae_jax.losses.reconstruction import LOG_2PI, gaussian_nll


def kl_analytic(
    mean: Float[Array, "B ..."],
    logvar: Float[Array, "B ..."],
    *prior: Float[Array, "..."],
) -> Float[Array, " B"]:
    """KL(q || p) of two diagonal Gaussians, in closed form.

    Args:
        mean: posterior mean.
        logvar: posterior log-variance.
        *prior: its mean and log-variance; a standard normal if not given.

    Returns:
        Nats per example; zero exactly where the posterior equals the prior.

    Raises:
        ValueError: if the shapes differ, or the prior is a mixture.

    Source:
        Kingma & Welling 2014 (arXiv:1312.6114), appendix B, for the standard prior.
    """
    if len(prior) > 2:
        raise ValueError(
            "kl_analytic: the prior must be a diagonal Gaussian, got a mixture; try "
            "kl_mc"
        )
    prior_mean, prior_logvar = prior or _standard(mean)
    require_same_shape(
        "kl_analytic",
        mean=mean,
        logvar=logvar,
        prior_mean=prior_mean,
        prior_logvar=prior_logvar,
    )
    log_ratio = logvar - prior_logvar
    shift = jnp.square(mean - prior_mean) * jnp.exp(-prior_logvar)
    # expm1 keeps the digits that exp(log_ratio) - 1 loses near the prior.
    return 0.5 * sum_event(shift + jnp.expm1(log_ratio) - log_ratio)


def kl_mc(
    z: Float[Array, "S B ..."],
    mean: Float[Array, "B ..."],
    logvar: Float[Array, "B ..."],
    *prior: Float[Array, "..."],
) -> Float[Array, " B"]:
    """KL(q || p) estimated as the sample mean of log q(z) - log p(z).

    Unbiased, and differentiable through ``z`` when ``z`` was reparameterised. Single
    estimates may be negative although the true KL is not.

    Args:
        z: ``S`` draws from N(mean, exp(logvar)).
        mean: posterior mean.
        logvar: posterior log-variance.
        *prior: as ``log_prior`` takes it; a standard normal if not given.

    Returns:
        Nats per example, averaged over the ``S`` draws.

    Raises:
        ValueError: if the parameters and one draw differ in shape.
    """
    if not z.shape[1:] == mean.shape == logvar.shape:
        raise ValueError(
            "kl_mc: mean and logvar must have the shape of one of the draws in z, "
            f"[S, B, ...], got z {z.shape}, mean {mean.shape}, logvar {logvar.shape}"
        )
    prior = prior or _standard(mean)
    per_draw = jax.vmap(
        lambda one: log_normal(one, mean, logvar) - log_prior(one, *prior)
    )
    return per_draw(z).mean(axis=0)


def total_correlation(
    z: Float[Array, "B Z"],
    mean: Float[Array, "B Z"],
    logvar: Float[Array, "B Z"],
    num_images: int,
) -> Float[Array, " B"]:
    """Log q(z) - sum_j log q(z_j), whose mean is the KL of q(z) to its own marginals.

    Estimated by minibatch-weighted sampling: q(z) is made of the posteriors of the
    batch, so the result depends on all of it, and is biased. ``num_images`` moves its
    level, not its gradient.

    Args:
        z: a draw from each posterior.
        mean: posterior means.
        logvar: posterior log-variances.
        num_images: of which the batch is a part.

    Source:
        Chen et al. 2018 (arXiv:1802.04942), section 3.1 and equation 5.
    """
    require_same_shape("total_correlation", z=z, mean=mean, logvar=logvar)
    scaled_error = (z[:, None] - mean[None]) * jnp.exp(-0.5 * logvar[None])
    log_q = -0.5 * (jnp.square(scaled_error) + logvar[None] + LOG_2PI)  # [z, q, dim]
    num_pairs = math.log(num_images * len(z))
    joint = logsumexp(log_q.sum(axis=-1), axis=1) - num_pairs
    return joint - (logsumexp(log_q, axis=1) - num_pairs).sum(axis=-1)


def log_prior(
    z: Float[Array, "B ..."], *prior: Float[Array, "..."]
) -> Float[Array, " B"]:
    """Log-density of ``z`` under any prior of latents. Higher is likelier.

    Args:
        z: one for each example.
        *prior: mean and logvar of a Gaussian for each example, or log_weights, means
            and logvars of one mixture: the fields of ``contracts.Latent.prior``.
    """
    return (log_normal if len(prior) == 2 else log_mixture)(z, *prior)


def log_normal(
    z: Float[Array, "B ..."],
    mean: Float[Array, "B ..."],
    logvar: Float[Array, "B ..."],
) -> Float[Array, " B"]:
    """Log-density of ``z`` under a diagonal Gaussian. Higher is likelier."""
    require_same_shape("log_normal", z=z, mean=mean, logvar=logvar)
    return -gaussian_nll(mean, 0.5 * logvar, z)


def log_mixture(
    z: Float[Array, "B ..."],
    log_weights: Float[Array, " K"],
    mean: Float[Array, "K ..."],
    logvar: Float[Array, "K ..."],
) -> Float[Array, " B"]:
    """Log-density of ``z`` under a mixture of diagonal Gaussians. Higher is likelier.

    Takes two matrix products and memory for B K + K Z numbers, not for B K Z. Those
    cancel digits where components are narrow; those of the likeliest one are put back.
    Where several overlap that are narrower than a log-variance of -9, it is not enough.

    Args:
        z: draws, ``[B, Z]``.
        log_weights: of the K components; their exponentials sum to 1.
        mean: of each component, ``[K, Z]``.
        logvar: likewise.

    Raises:
        ValueError: if the shapes do not fit.
    """
    require_same_shape("log_mixture", mean=mean, logvar=logvar)
    if z.shape[1:] != mean.shape[1:]:
        raise ValueError(
            "log_mixture: z and means must have as many dimensions, got "
            f"z {z.shape}, mean {mean.shape}"
        )
    precision = jnp.exp(-logvar)
    # The density does not depend on where the origin is, but rounding does.
    origin = lax.stop_gradient(mean.mean(axis=0, keepdims=True))
    z, mean = z - origin, mean - origin
    log_scale = log_weights - 0.5 * logvar.sum(axis=1)
    offset = log_scale - 0.5 * (jnp.square(mean) * precision).sum(axis=1)
    each = _product(z, mean * precision) - 0.5 * _product(jnp.square(z), precision)
    each += offset[None]

    best = each.argmax(axis=1)
    distance = (jnp.square(z - mean[best]) * precision[best]).sum(axis=1)
    lost = log_scale[best] - 0.5 * distance - each.max(axis=1)
    constant = 0.5 * z.shape[1] * LOG_2PI
    return logsumexp(each, axis=1) + lax.stop_gradient(lost) - constant


def _product(a: Float[Array, "B Z"], b: Float[Array, "K Z"]) -> Float[Array, "B K"]:
    # Accelerators would round the factors to fewer digits by default.
    return jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)


def _standard(mean: Float[Array, "B ..."]) -> tuple[Array, Array]:
    return jnp.zeros_like(mean), jnp.zeros_like(mean)
