"""One training step, looked into: its terms, and where it stops being finite."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from vae_jax import train
from vae_jax.contracts import Model, Params

NUMBERS = ("lr", "beta", "sigma", "alpha")  # of Hparams: the rest may be infinite
Posterior = list[dict[str, Array]]  # of each group of latents: mean and logvar
OF_EACH_IMAGE = ("images", "posterior", "terms")


class NotFinite(NamedTuple):
    """The first array of a step that is not finite, in the order of computation."""

    name: str  # such as ``posterior/0/logvar``
    images: list[int]  # of the batch: whose values they are; empty if no image's own


def first_not_finite(
    params: Params, of_latents: Posterior, attempt: train.Attempt
) -> NotFinite | None:
    """Where a step stops being finite, if it does.

    Args:
        params: those before the step.
        of_latents: their ``posterior``.
        attempt: what the step computed.
    """
    for part, tree in in_order(params, of_latents, attempt):
        for path, leaf in leaves(tree):
            finite = np.isfinite(leaf)
            if finite.all():
                continue
            name, images = "/".join(filter(None, (part, path))), []
            if part in OF_EACH_IMAGE:
                bad = ~finite.reshape(len(finite), -1).all(axis=1)
                images = np.flatnonzero(bad).tolist()
            return NotFinite(name, images)
    return None


def in_order(
    params: Params, of_latents: Posterior, attempt: train.Attempt
) -> Iterator[tuple[str, Any]]:
    """The parts of a step, each before those that are computed from it."""
    yield "numbers", {name: getattr(attempt.hparams, name) for name in NUMBERS}
    yield "images", attempt.x
    yield "parameters", params
    yield "posterior", of_latents
    # Of the terms, the KL needs the posterior alone, and the bounds all others.
    kls = [name for name in attempt.terms if name.startswith("kl")]
    bounds = attempt.terms.keys() - {*kls, "recon"}
    for name in (*sorted(kls), "recon", *sorted(bounds)):
        yield "terms", {name: attempt.terms[name]}
    yield "loss", attempt.loss
    yield "gradient", attempt.grads
    yield "gradient_norm", attempt.grad_norm


def posterior(model: Model, params: Params, attempt: train.Attempt) -> Posterior:
    """Mean and logvar of q(z|x) for each group of latents.

    A group below others is taken at the means of those.
    """
    latents = model.encode(params, attempt.x, None, attempt.hparams.alpha)
    return [latent.posterior._asdict() for latent in latents]


def leaves(tree: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Pairs of path and array."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        yield name, np.asarray(leaf)


def of_values(values: Array | np.ndarray) -> dict[str, Any]:
    """Mean, lowest and highest, and how many are not finite.

    If one is not, neither are they.
    """
    values = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):  # the mean of both infinities is none
        mean = float(values.mean())
    return {
        "mean": mean,
        "lowest": float(values.min()),
        "highest": float(values.max()),
        "not_finite": int((~np.isfinite(values)).sum()),
    }


def norms(grads: Params) -> dict[str, float]:
    """The Euclidean norm of each array of a gradient."""
    return {
        path: float(np.sqrt(np.square(leaf.astype(np.float64)).sum()))
        for path, leaf in leaves(grads)
    }
