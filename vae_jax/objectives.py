"""What training minimises: functions of the type ``contracts.Objective``."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax import losses, sampling
from vae_jax.contracts import Hparams, Latent, Model, Objective, Params

KLS = ("analytic", "mc")


def elbo(kl: str, kl_samples: int) -> Objective:
    """The negative ELBO, its KL weighted by beta.

    A model that grows adds weights of its own: see ``Model.loss_scale`` and
    ``Latent.weight``.

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
        z = jnp.concatenate([latent.z[None], more])
        return losses.kl_mc(z, *latent.posterior, *latent.prior)

    def objective(
        model: Model,
        params: Params,
        x: Float[Array, "B H W C"],
        key: sampling.Keys,
        hparams: Hparams,
    ) -> tuple[Float[Array, " B"], dict[str, Float[Array, " B"]]]:
        draw_key, kl_key = sampling.split(key)
        out = model.apply(params, x, draw_key, hparams.alpha)
        kl_keys = sampling.split(kl_key, len(out.latents))
        kls = list(map(kl_of, out.latents, kl_keys))
        kl_total = sum(kls)
        weighted = sum(of.weight * kl for of, kl in zip(out.latents, kls, strict=True))

        own = model.likelihood_params(params)
        observed = (own, hparams, out.pixels, *model.observe(x))
        recon = model.likelihood.nll(*observed)
        loss = model.loss_scale * model.likelihood.loss(*observed)
        loss += hparams.beta * weighted
        bound = losses.elbo(recon, kl_total)
        terms = {"recon": recon, "kl": kl_total, "elbo": bound}
        if max(model.num_stages, len(kls)) > 1:  # which groups are in use?
            terms |= {f"kl_group_{k}": kl for k, kl in enumerate(kls)}
        return loss, terms

    return objective
