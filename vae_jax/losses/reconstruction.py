"""Negative log-likelihoods of images, given what the decoder says of them."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.losses.events import flat, require_same_shape

LOG_2PI = math.log(2.0 * math.pi)


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
    require_same_shape("bernoulli_nll", logits=logits, targets=targets)
    logits, targets, weights = flat(logits, targets, weights)
    return (weights * (_softplus(logits) - logits * targets)).sum(axis=-1)


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
    log_sigma = _one_or_each("gaussian_nll", mean, targets, log_sigma=log_sigma)
    mean, targets, weights = flat(mean, targets, weights)
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
    require_same_shape("optimal_log_sigma", mean=mean, targets=targets)
    return 0.5 * jnp.log(jnp.mean(jnp.square(targets - mean)))


def continuous_bernoulli_nll(
    logits: Float[Array, "B ..."],
    targets: Float[Array, "B ..."],
    weights: Array | float = 1.0,
) -> Float[Array, " B"]:
    """Negative log-density of ``targets`` in [0, 1] under continuous Bernoullis.

    ``bernoulli_nll`` less the log of what makes that a density: the integral of
    exp(-bernoulli_nll) over [0, 1] is tanh(l / 2) / l.

    Args:
        logits: natural parameters: 0 is the uniform density.
        targets: values in [0, 1].
        weights: see the module.

    Returns:
        Nats per example.

    Raises:
        ValueError: if the shapes differ.

    Source:
        Loaiza-Ganem & Cunningham 2019 (arXiv:1907.06845), equations 6 to 8.
    """
    nll = bernoulli_nll(logits, targets, weights)
    logits, _, weights = flat(logits, targets, weights)
    return nll - (weights * _log_l_over_tanh(logits)).sum(axis=-1)


def laplace_nll(
    mean: Float[Array, "B ..."],
    log_scale: Float[Array, "..."],
    targets: Float[Array, "B ..."],
    weights: Array | float = 1.0,
    include_const: bool = True,
) -> Float[Array, " B"]:
    """Negative log-density of ``targets`` under independent Laplace distributions.

    Args:
        mean: location, which is the median too.
        log_scale: log of the mean absolute deviation in the targets' units: a scalar,
            or an array of the shape of ``mean``.
        targets: observed values.
        weights: see the module.
        include_const: whether log 2 per value is part of the result.

    Returns:
        Nats per example, relative to the targets' own units.

    Raises:
        ValueError: if the shapes differ.
    """
    log_scale = _one_or_each("laplace_nll", mean, targets, log_scale=log_scale)
    mean, targets, weights = flat(mean, targets, weights)
    constant = math.log(2.0) if include_const else 0.0
    nll = jnp.abs(targets - mean) * jnp.exp(-log_scale) + log_scale + constant
    return (weights * nll).sum(axis=-1)


def discretized_logistic_nll(
    mean: Float[Array, "B ..."],
    log_scale: Float[Array, "..."],
    targets: Float[Array, "B ..."],
    bin_width: float,
    weights: Array | float = 1.0,
) -> Float[Array, " B"]:
    """Negative log-probability of the bins in which ``targets`` are the middle.

    A logistic distribution, of which each bin has its share and the first and the last
    have the tails, so that the probabilities of all levels sum to one.

    Args:
        mean: location.
        log_scale: log of the scale, which is the standard deviation times sqrt(3) / pi:
            a scalar, or an array of the shape of ``mean``.
        targets: levels, ``bin_width`` apart, the first and last of them within half of
            that of 0 and 1. Others count as the middle of a bin of their own.
        bin_width: of the targets' units: 1/255 for v/255, 1/256 for (v + 0.5)/256.
        weights: see the module.

    Returns:
        Nats per example.

    Raises:
        ValueError: if the shapes differ.

    Source:
        Kingma et al. 2016 (arXiv:1606.04934), appendix; Salimans et al. 2017
        (arXiv:1701.05517), section 2.1, for the tails.
    """
    name = "discretized_logistic_nll"
    log_scale = _one_or_each(name, mean, targets, log_scale=log_scale)
    mean, targets, weights = flat(mean, targets, weights)
    rate = jnp.exp(-log_scale)
    above = (targets + 0.5 * bin_width - mean) * rate
    below = (targets - 0.5 * bin_width - mean) * rate
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no difference
    # of nearly equal numbers, however far the bin is out in a tail.
    log_share = jnp.log(-jnp.expm1(-bin_width * rate))
    is_first = targets - 0.5 * bin_width < 0.25 * bin_width
    is_last = targets + 0.5 * bin_width > 1 - 0.25 * bin_width
    nll = (
        jnp.where(is_last, 0.0, _softplus(-above))
        + jnp.where(is_first, 0.0, _softplus(below))
        - jnp.where(is_first | is_last, 0.0, log_share)
    )
    return (weights * nll).sum(axis=-1)


def _one_or_each(where, mean, targets, **scale) -> Array:
    """A scalar as it is, or one for each value, its event on one axis."""
    require_same_shape(where, mean=mean, targets=targets)
    (array,) = scale.values()
    if not jnp.ndim(array):
        return array
    require_same_shape(where, mean=mean, **scale)
    return array.reshape(len(mean), -1)


def _log_l_over_tanh(logits: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(l / tanh(l / 2)) and its derivative, right at every ``l``, 0 included."""
    size = jnp.abs(logits)
    near = size < 0.5
    # Up to l^6; the next term, 127 l^8 / 4838400, is below float32's rounding.
    square = jnp.square(jnp.where(near, logits, 0.0))
    series = math.log(2.0) + square * (
        1 / 12 - square * (7 / 1440 - square * (31 / 90720))
    )
    size = jnp.where(near, 1.0, size)
    far = jnp.log(size) + jnp.log1p(jnp.exp(-size)) - jnp.log(-jnp.expm1(-size))
    return jnp.where(near, series, far)


@jax.custom_jvp
def _softplus(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(1 + exp(x)), finite for every finite ``x``."""
    # Several times faster on the CPU than jax.nn.softplus, and of operations that XLA
    # fuses there with the matrix product before them, which `where` is not.
    return jnp.maximum(x, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


# Max and abs have no derivative at 0, where a zero-initialised output begins.
_softplus.defjvps(lambda tangent, out, x: tangent * jax.nn.sigmoid(x))
