"""What objectives are made of, and what all of them report."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax import losses, sampling
from vae_jax.contracts import Hparams, Latent, Model, Params

KLS = ("analytic", "mc")

KlsOf = Callable[[tuple[Latent, ...], sampling.Keys], list[Float[Array, " B"]]]


def log_ratio(latent: Latent) -> Float[Array, " B"]:
    """Log q(z|x) - log p(z) of the draw: its mean over draws is the KL."""
    log_q = losses.log_normal(latent.z, *latent.posterior)
    return log_q - losses.log_prior(latent.z, *latent.prior)


def kl_estimator(kl: str, kl_samples: int) -> KlsOf:
    """``kls(latents, key)``: the KL of every group.

    Args:
        kl: ``analytic``, in closed form, or ``mc``, from draws of z: the one that was
            decoded and ``kl_samples - 1`` further ones.
        kl_samples: draws for each example.

    Raises:
        ValueError: if there is no such estimator.
    """
    if kl not in KLS:
        raise ValueError(f"kl: must be one of {', '.join(KLS)}, got {kl!r}")

    def kl_of(latent: Latent, key: sampling.Keys) -> Float[Array, " B"]:
        if kl == "analytic":
            return losses.kl_analytic(*latent.posterior, *latent.prior)
        more = sampling.draws(key, *latent.posterior, num=kl_samples - 1)
        draws = jnp.concatenate([latent.z[None], more])
        return losses.kl_mc(draws, *latent.posterior, *latent.prior)

    def kls(latents, key):
        return list(map(kl_of, latents, sampling.split(key, len(latents))))

    return kls


def reconstruction(
    model: Model,
    params: Params,
    x: Float[Array, "B H W C"],
    pixels: Float[Array, "B ..."],
    hparams: Hparams,
) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
    """-log p(x|z) with every constant, and with those that the loss shall have."""
    own = model.likelihood_params(params)
    observed = (own, hparams, pixels, *model.observe(x))
    return model.likelihood.nll(*observed), model.likelihood.loss(*observed)


def reported(
    model: Model, recon: Float[Array, " B"], kls: Sequence[Float[Array, " B"]]
) -> dict[str, Float[Array, " B"]]:
    """The terms of the ELBO itself, whatever the loss makes of them."""
    kl = sum(kls)
    terms = {"recon": recon, "kl": kl, "elbo": losses.elbo(recon, kl)}
    if max(model.num_stages, len(kls)) > 1:  # which groups are in use?
        terms |= {f"kl_group_{k}": kl for k, kl in enumerate(kls)}
    return terms
