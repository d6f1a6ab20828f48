"""The importance-weighted bound, with three estimators of its gradient.

``iwae`` is the reparameterised one. ``stl`` leaves out what reaches the posterior's
parameters through log q(z|x) other than by z: zero in the mean for one draw, not for
several, where it is biased. ``dreg`` repays that: whatever acts through z counts each
draw by its share of the weights once more. All else, in the likelihood, the decoder
and a learned prior, keeps iwae's gradient. So a parameter that serves both sides gets
of each what is due.

``stl`` and ``dreg`` hold for one group of latents. With several, log q of a finer one
depends on coarser z by way of its posterior's parameters, too, and functions that
give those parameters do not tell the one way from the other. (Bauer & Mnih 2021,
arXiv:2101.11046, have what it would take.)

With beta, weights are p(x|z) (p(z) / q(z|x))^beta. That is for warm-up, at whose end
there is a bound again; ``dreg`` is unbiased on the way, too. ``Latent.weight`` and
``Model.loss_scale`` must be 1.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import logsumexp
from jaxtyping import Array, Float

from vae_jax import sampling
from vae_jax.contracts import Hparams, Latent, Model, Objective, Params
from vae_jax.objectives.terms import (
    kl_estimator,
    log_ratio,
    reconstruction,
    reported,
)

ESTIMATORS = ("iwae", "stl", "dreg")


Weights = tuple[Array, tuple[Array, Array]]  # log w in the loss; reported recon, ratio


def weighted(estimator: str, num: int, kl: str, kl_samples: int) -> Objective:
    """The negative importance-weighted bound of ``num`` draws.

    One draw makes it the negative ELBO, its KL being estimated from the draw. Terms are
    the ELBO's for the first draw, and ``iw_bound`` of all, at beta 1 with every
    constant.

    Args:
        estimator: of the gradient, one of ``ESTIMATORS``; see the module.
        num: draws for each example, 1 or more.
        kl: of the reported KL alone; see ``elbo``.
        kl_samples: likewise.

    Raises:
        ValueError: if there is no such estimator.

    Source:
        Burda et al. 2016 (arXiv:1509.00519), equation 8; Roeder et al. 2017
        (arXiv:1703.09194); Tucker et al. 2019 (arXiv:1810.04152), equation 8.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(
            f"estimator: must be one of {', '.join(ESTIMATORS)}, got {estimator!r}"
        )
    kls_of = kl_estimator(kl, kl_samples)

    def objective(
        model: Model,
        params: Params,
        x: Float[Array, "B H W C"],
        key: sampling.Keys,
        hparams: Hparams,
    ) -> tuple[Float[Array, " B"], dict[str, Float[Array, " B"]]]:
        draw_key, kl_key = sampling.split(key)
        # 2: a key's split is what folding 0 and 1 into it gives.
        more = sampling.split(sampling.fold_in(key, 2), num - 1)
        keys = jnp.concatenate([draw_key[None], more])
        if estimator == "dreg":
            found, latents = _by_decoding(model, params, x, keys, hparams)
        else:
            stops = estimator == "stl"
            found, latents = _by_applying(model, params, x, keys, hparams, stops)
        log_weights, (recon, ratio) = found
        first = jax.tree.map(lambda values: values[0], latents)
        terms = reported(model, recon[0], kls_of(first, kl_key))
        terms["iw_bound"] = _log_mean(-recon - ratio)
        return -_log_mean(log_weights), terms

    return objective


def _log_mean(log_weights: Float[Array, "K B"]) -> Float[Array, " B"]:
    return logsumexp(log_weights, axis=0) - math.log(len(log_weights))


def _by_applying(model, params, x, keys, hparams, stops: bool):
    """Weights and latents, the gradient through log q(z|x) being stopped or not."""

    def of_draw(key):
        out = model.apply(params, x, key, hparams.alpha)
        scored = _held(out.latents) if stops else out.latents
        return _weigh(model, params, x, out.pixels, scored, hparams), out.latents

    return jax.vmap(of_draw)(keys)


def _by_decoding(model, params, x, keys, hparams):
    """The same, with the gradient of ``dreg``."""

    def of_draws(latents, params, x, hparams):
        def of_draw(latents):
            zs = tuple(of.z for of in latents)
            pixels = model.decode(params, zs, hparams.alpha)
            return _weigh(model, params, x, pixels, latents, hparams)

        return jax.vmap(of_draw)(latents)

    latents = jax.vmap(lambda key: model.encode(params, x, key, hparams.alpha))(keys)
    return _sharing(of_draws)(_held(latents), params, x, hparams), latents


def _weigh(model, params, x, pixels, latents, hparams) -> Weights:
    """Of one draw of every group."""
    ratio = sum(map(log_ratio, latents))
    recon, loss = reconstruction(model, params, x, pixels, hparams)
    return -loss - hparams.beta * ratio, (recon, ratio)


def _held(latents: tuple[Latent, ...]) -> tuple[Latent, ...]:
    """The same, no gradient reaching the posterior but through z."""
    return tuple(
        of._replace(posterior=lax.stop_gradient(of.posterior)) for of in latents
    )


def _sharing(of_draws: Callable[..., Weights]) -> Callable[..., Weights]:
    """The same function, what reaches z being scaled by the draw's share of weights.

    By 1 - beta + beta share, to be exact: what the reparameterised score of q, of which
    there is beta in a log-weight, adds to the path through z.
    """

    def forward(latents, params, x, hparams):
        of_all = functools.partial(jax.vjp, of_draws, has_aux=True)
        log_weights, pull, numbers = of_all(latents, params, x, hparams)
        shares = jax.nn.softmax(log_weights, axis=0)
        scale = 1.0 - hparams.beta + hparams.beta * shares
        return (log_weights, numbers), (pull, scale[..., None])

    def backward(saved, cotangents):
        pull, scale = saved
        latents, *others = pull(cotangents[0])  # the reported numbers have no gradient
        return tuple(of._replace(z=scale * of.z) for of in latents), *others

    function = jax.custom_vjp(of_draws)
    function.defvjp(forward, backward)
    return function
