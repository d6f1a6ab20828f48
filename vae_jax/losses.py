"""Terms of the variational bound, one number per example.

Conventions that hold for every function here:

* Arrays lead with a batch axis ``B``; the axes after it, ``...``, are the event.
* The result has shape ``[B]``: summed over the event, never averaged over the batch.
  ``batch_loss`` is the one place where a batch becomes a scalar.
* Units are nats. ``nats_to_bits_per_dim`` converts for reporting.
* ``*_nll``, ``*_loss`` and ``kl_*`` are costs (lower is better); only ``elbo`` and
  ``log_*`` go up. No function changes sign on the way out.
* ``weights`` counts each value of the event that often: a scalar, or an array of the
  event's rank plus one whose axes are 1 or those of the targets.

Nothing here knows about Flax, configs or random keys.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LOG_2PI = math.log(2.0 * math.pi)
REDUCTIONS = ("sum", "mean")


def bernoulli_nll(
    logits: Float[Array, "B ..."],
    targets: Float[Array, "B ..."],
    weights: Array | float = 1.0,
) -> Float[Array, " B"]:
    """Negative log-likelihood of ``targets`` under independent Bernoullis.

    Grey targets in (0, 1) are accepted. The value is then a cross-entropy, not the
    likelihood of any distribution, and must not be reported as one.

    Args:
        logits: log-odds of a one, before the sigmoid.
        targets: values in [0, 1]. The range is the data loader's promise; it cannot
            be checked inside ``jit``.
        weights: see the module.

    Returns:
        Nats per example.

    Raises:
        ValueError: if the shapes differ. Broadcasting is refused.

    Source:
        Kingma & Welling 2014 (arXiv:1312.6114), appendix C.1.
    """
    _require_same_shape("bernoulli_nll", logits=logits, targets=targets)
    # max(l, 0) + log1p(exp(-|l|)): finite for every finite logit, and several times
    # faster on the CPU than jax.nn.softplus. With `where`, unlike max and abs, the
    # gradient is right at 0 too, where a zero-initialised output begins.
    logits, targets, weights = _flat(logits, targets, weights)
    positive = logits > 0
    log1p_term = jnp.log1p(jnp.exp(jnp.where(positive, -logits, logits)))
    softplus = jnp.where(positive, logits, 0.0) + log1p_term
    return (weights * (softplus - logits * targets)).sum(axis=-1)


def gaussian_nll(
    mean: Float[Array, "B ..."],
    log_sigma: Float[Array, "..."],
    targets: Float[Array, "B ..."],
    weights: Array | float = 1.0,
    include_const: bool = True,
) -> Float[Array, " B"]:
    """Negative log-density of ``targets`` under a diagonal Gaussian.

    A density can exceed one, so the result may be negative.

    Args:
        mean: location.
        log_sigma: log of the standard deviation in the targets' units: a scalar for
            one global sigma, or an array of the shape of ``mean``.
        targets: observed values.
        weights: see the module.
        include_const: whether 0.5 log(2 pi) per value is part of the result. The
            log sigma term always is: without it a learned sigma would grow for ever.

    Returns:
        Nats per example, relative to the targets' own units.

    Raises:
        ValueError: if the shapes differ.
    """
    _require_same_shape("gaussian_nll", mean=mean, targets=targets)
    if jnp.ndim(log_sigma):
        _require_same_shape("gaussian_nll", mean=mean, log_sigma=log_sigma)
        log_sigma = log_sigma.reshape(len(mean), -1)
    mean, targets, weights = _flat(mean, targets, weights)
    scaled_error = (targets - mean) * jnp.exp(-log_sigma)
    constant = 0.5 * LOG_2PI if include_const else 0.0
    nll = 0.5 * jnp.square(scaled_error) + log_sigma + constant
    return (weights * nll).sum(axis=-1)


def optimal_log_sigma(
    mean: Float[Array, "B ..."], targets: Float[Array, "B ..."]
) -> Float[Array, ""]:
    """Log of the one sigma that maximises the Gaussian likelihood of the whole batch.

    Hand it to ``gaussian_nll`` as ``log_sigma``, without stopping its gradient.

    Raises:
        ValueError: if the shapes differ.

    Source:
        Rybkin et al. 2021 (arXiv:2006.13202), equation 3: sigma^2 is the mean squared
        error.
    """
    _require_same_shape("optimal_log_sigma", mean=mean, targets=targets)
    return 0.5 * jnp.log(jnp.mean(jnp.square(targets - mean)))


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
    _require_same_shape(
        "kl_analytic",
        mean=mean,
        logvar=logvar,
        prior_mean=prior_mean,
        prior_logvar=prior_logvar,
    )
    log_ratio = logvar - prior_logvar
    shift = jnp.square(mean - prior_mean) * jnp.exp(-prior_logvar)
    # expm1 keeps the digits that exp(log_ratio) - 1 loses near the prior.
    return 0.5 * _sum_event(shift + jnp.expm1(log_ratio) - log_ratio)


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


def log_normal(
    z: Float[Array, "B ..."],
    mean: Float[Array, "B ..."],
    logvar: Float[Array, "B ..."],
) -> Float[Array, " B"]:
    """Log-density of ``z`` under a diagonal Gaussian. Higher is likelier."""
    _require_same_shape("log_normal", z=z, mean=mean, logvar=logvar)
    return -gaussian_nll(mean, 0.5 * logvar, z)


def elbo(recon_nll: Float[Array, " B"], kl: Float[Array, " B"]) -> Float[Array, " B"]:
    """Evidence lower bound, log p(x) >= elbo. Higher is better."""
    return -(recon_nll + kl)


def batch_loss(
    per_image: Float[Array, " B"], reduction: str, num_values: int
) -> Float[Array, ""]:
    """The scalar that is minimised.

    Args:
        per_image: the loss of each image, in nats.
        reduction: ``sum`` gives nats per image, ``mean`` nats per value of an image.
            Both divide every term alike, so beta means the same and the gradients
            are parallel.
        num_values: height times width times channels of the full image.

    Raises:
        ValueError: if ``reduction`` is neither.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"reduction: must be one of {', '.join(REDUCTIONS)}, got {reduction!r}"
        )
    return per_image.mean() / (num_values if reduction == "mean" else 1)


def nats_to_bits_per_dim(
    nats: Float[Array, " *batch"] | float, num_values: int, bin_width: float = 1.0
) -> Float[Array, " *batch"] | float:
    """Converts a negative log-likelihood per image to bits per dimension.

    Args:
        nats: per image; a cost, so lower is better on both sides.
        num_values: height times width times channels.
        bin_width: 1 for a probability mass. For a density of 8-bit data the width of
            one grey level in the data's units (1/255 for v/255, 1/256 for
            (v + 0.5)/256): the density times the width approximates the mass.
    """
    return nats / (num_values * math.log(2.0)) - math.log2(bin_width)


def _prior_or_standard(mean, prior_mean, prior_logvar):
    zeros = jnp.zeros_like(mean)
    return (
        zeros if prior_mean is None else prior_mean,
        zeros if prior_logvar is None else prior_logvar,
    )


def _flat(
    given: Float[Array, "B ..."], targets: Float[Array, "B ..."], weights: Array | float
) -> tuple[Float[Array, "B N"], Float[Array, "B N"], Array | float]:
    """The event on one axis: with a last one of length 1, XLA's CPU loops crawl."""
    if jnp.ndim(weights):
        shape = (len(weights), *targets.shape[1:])
        weights = jnp.broadcast_to(weights, shape).reshape(len(weights), -1)
    batch = len(targets)
    return given.reshape(batch, -1), targets.reshape(batch, -1), weights


def _sum_event(x: Float[Array, "B ..."]) -> Float[Array, " B"]:
    return x.reshape(x.shape[0], -1).sum(axis=-1)


def _require_same_shape(where: str, **arrays: Array) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        listing = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{where}: shapes must be equal, got {listing}")
