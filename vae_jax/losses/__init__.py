"""Terms of the variational bound, one number per example.

Conventions that hold for every function here but ``optimal_log_sigma``:

* Arrays lead with a batch axis ``B``; the axes after it, ``...``, are the event.
* The result has shape ``[B]``: summed over the event, never averaged over the batch.
  ``batch_loss`` is the one place where a batch becomes a scalar. Each number is of its
  own example, but for ``total_correlation``, which compares them.
* Units are nats. ``nats_to_bits_per_dim`` converts for reporting.
* ``*_nll``, ``*_loss`` and ``kl_*`` are costs (lower is better); only ``elbo`` and
  ``log_*`` go up. Nothing else changes a sign on the way out.
* ``weights`` counts each value of the event that often: a scalar, or an array of the
  event's rank plus one whose axes are 1 or those of the targets.

Nothing here knows about Flax, configs or random keys.
"""

from vae_jax.losses.bounds import REDUCTIONS, batch_loss, elbo, nats_to_bits_per_dim
from vae_jax.losses.divergence import (
    kl_analytic,
    kl_mc,
    log_mixture,
    log_normal,
    log_prior,
    total_correlation,
)
from vae_jax.losses.reconstruction import (
    bernoulli_nll,
    continuous_bernoulli_nll,
    discretized_logistic_nll,
    gaussian_nll,
    laplace_nll,
    optimal_log_sigma,
)

__all__ = [
    "REDUCTIONS",
    "batch_loss",
    "bernoulli_nll",
    "continuous_bernoulli_nll",
    "discretized_logistic_nll",
    "elbo",
    "gaussian_nll",
    "kl_analytic",
    "kl_mc",
    "laplace_nll",
    "log_mixture",
    "log_normal",
    "log_prior",
    "nats_to_bits_per_dim",
    "optimal_log_sigma",
    "total_correlation",
]
