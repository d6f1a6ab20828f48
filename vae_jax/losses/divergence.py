"""How far posteriors are from their priors."""

import math

import jax
import jax.numpy as jnp
from jax.nn import logsumexp
from jaxtyping import Array, Float

from vae_jax.losses.events import require_same_shape, sum_event
from vae_jax.losses.reconstruction import LOG_2PI, gaussian_nll


def kl_analytic(
    mean: Float[Array, "B ..."],
    logvar: Float[Array, "B ..."],
    prior_mean: Float[Array, "B ..."] | None = None,
    prior_logvar: Float[Array, "B ..."] | None = None,
) -> Float[Array, " B"]:
    """KL(q || p) of two diagonal Gaussians, in closed form.

    Args:
        mean: posterior mean.
        logvar: posterior log-variance.
        prior_mean: zeros if not given.
        prior_logvar: zeros if not given.

    Returns:
        Nats per example; zero exactly where the posterior equals the prior.

    Raises:
        ValueError: if the shapes differ.

    Source:
        Kingma & Welling 2014 (arXiv:1312.6114), appendix B, for the standard prior.
    """
    prior_mean, prior_logvar = _prior_or_standard(mean, prior_mean, prior_logvar)
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
    prior_mean: Float[Array, "B ..."] | None = None,
    prior_logvar: Float[Array, "B ..."] | None = None,
) -> Float[Array, " B"]:
    """KL(q || p) estimated as the sample mean of log q(z) - log p(z).

    Unbiased, and differentiable through ``z`` when ``z`` was reparameterised. Single
    estimates may be negative although the true KL is not.

    Args:
        z: ``S`` draws from N(mean, exp(logvar)).
        mean: posterior mean.
        logvar: posterior log-variance.
        prior_mean: zeros if not given.
        prior_logvar: zeros if not given.

    Returns:
        Nats per example, averaged over the ``S`` draws.

    Raises:
        ValueError: if the parameters and one draw differ in shape.
    """
    prior_mean, prior_logvar = _prior_or_standard(mean, prior_mean, prior_logvar)
    per_draw = jax.vmap(
        lambda one: (
            log_normal(one, mean, logvar) - log_normal(one, prior_mean, prior_logvar)
        )
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


def log_normal(
    z: Float[Array, "B ..."],
    mean: Float[Array, "B ..."],
    logvar: Float[Array, "B ..."],
) -> Float[Array, " B"]:
    """Log-density of ``z`` under a diagonal Gaussian. Higher is likelier."""
    require_same_shape("log_normal", z=z, mean=mean, logvar=logvar)
    return -gaussian_nll(mean, 0.5 * logvar, z)


def _prior_or_standard(mean, prior_mean, prior_logvar):
    zeros = jnp.zeros_like(mean)
    return (
        zeros if prior_mean is None else prior_mean,
        zeros if prior_logvar is None else prior_logvar,
    )
