"""The negative ELBO, and what may be made of its KL."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax import losses, sampling
from vae_jax.contracts import Hparams, Latent, Model, Objective, Params
from vae_jax.objectives.terms import kl_estimator, reconstruction, reported


def elbo(kl: str, kl_samples: int, tc_images: int = 0) -> Objective:
    """The negative ELBO, its KL weighted by beta.

    A model that grows adds weights of its own: see ``Model.loss_scale`` and
    ``Latent.weight``. ``Hparams.free_bits``, ``capacity`` and ``tc_weight`` change the
    KL before beta does; no two of them are meant to be used at once.

    Args:
        kl: ``analytic``, in closed form, or ``mc``, from draws of z: the one that was
            decoded and ``kl_samples - 1`` further ones.
        kl_samples: draws for each example.
        tc_images: how many training images there are, where the total correlation of
            the only group of latents has a weight; 0: it is not estimated.

    Raises:
        ValueError: if there is no such estimator.
    """
    kls_of = kl_estimator(kl, kl_samples)

    def objective(
        model: Model,
        params: Params,
        x: Float[Array, "B H W C"],
        key: sampling.Keys,
        hparams: Hparams,
    ) -> tuple[Float[Array, " B"], dict[str, Float[Array, " B"]]]:
        draw_key, kl_key = sampling.split(key)
        out = model.apply(params, x, draw_key, hparams.alpha)
        kls = kls_of(out.latents, kl_key)
        recon, loss = reconstruction(model, params, x, out.pixels, hparams)
        pressure = bounded(out.latents, kls, hparams)
        if tc_images:
            (latent,) = out.latents
            tc = losses.total_correlation(latent.z, *latent.posterior, tc_images)
            pressure += (hparams.tc_weight - 1.0) * tc
        loss = model.loss_scale * loss + hparams.beta * pressure
        return loss, reported(model, recon, kls)

    return objective


def bounded(
    latents: Sequence[Latent], kls: Sequence[Float[Array, " B"]], hparams: Hparams
) -> Float[Array, " B"]:
    """The KL with its groups' weights, free bits, and its distance to a capacity.

    Free bits: a group whose KL, in the mean over the batch, is below them counts as
    having them, and gets no gradient. So the mean is the maximum of both.
    Capacity: the distance is that of each image's own KL.

    Both are off at 0, where estimates of the KL may be negative; elsewhere they need
    the KL in closed form.

    Source:
        Kingma et al. 2016 (arXiv:1606.04934), equation 15, whose groups are here the
        model's groups of latents. Burgess et al. 2018 (arXiv:1804.03599), equation 8.
    """
    free, capacity = hparams.free_bits, hparams.capacity
    kls = [jnp.where((free > 0) & (kl.mean() < free), free, kl) for kl in kls]
    total = sum(of.weight * kl for of, kl in zip(latents, kls, strict=True))
    excess = total - capacity
    distance = jnp.sign(excess) * excess  # abs, but without a gradient at 0
    return jnp.where(capacity > 0, distance, total)
