"""The final evaluation: its numbers, how they were got, and their table."""

from typing import Any

import numpy as np

from vae_jax import data, evaluate
from vae_jax.contracts import Hparams, Model, Params

BOUNDS = {
    "probability_mass": "ELBO, a lower bound on the log-probability of an image",
    "density": "ELBO, a lower bound on the log-density of an image",
    "cross_entropy": "minus (cross-entropy + KL): no likelihood, as pixels are grey",
}


def bound_kind(model: Model, images: np.ndarray) -> str:
    """What the ELBO bounds: see ``evaluate.bound_kind``.

    Before its last stage, a model sees averages over pixels, which are grey.
    """
    binary = sees_whole_images(model) and is_binary(images)
    return evaluate.bound_kind(model.likelihood.kind, binary)


def sees_whole_images(model: Model) -> bool:
    """Whether its likelihood is one of every pixel, as in the last stage of growth."""
    return model.stage == model.num_stages - 1


def evaluation(
    terms: dict[str, np.ndarray], model: Model, images: np.ndarray, scale: str, kl: str
) -> dict[str, Any]:
    """The numbers of one split from the terms of its images.

    Returns:
        Name to value, standard error, n, unit and how. Bits/dim only where the bound is
        one on a likelihood of whole 8-bit images.
    """
    kind = bound_kind(model, images)
    how = {
        "elbo": BOUNDS[kind],
        "recon": "E_q[-log p(x|z)], one draw of z for each image, all constants",
        "kl": f"KL(q(z|x) || p(z)), {kl}",
    }
    groups = [name for name in terms if name.startswith("kl_group_")]
    if len(groups) > 1:
        how |= {
            name: f"the part of the KL of one group of latents, {kl}" for name in groups
        }
    found = {name: evaluate.estimate(terms[name]) for name in how}
    numbers = {
        name: {**found[name]._asdict(), "unit": "nats per image", "how": how[name]}
        for name in how
    }
    num_values = int(np.prod(images.shape[1:]))
    bits = evaluate.bits_per_dim(found["elbo"], kind, num_values, scale)
    of_bytes = images.dtype == np.uint8 or kind == "probability_mass"
    if bits and sees_whole_images(model) and of_bytes:
        numbers["bits_per_dim"] = {
            **bits._asdict(),
            "unit": "bits per value",
            "how": f"from the ELBO, {num_values} values, scale {scale}",
        }
    return numbers


def sigma(model: Model, params: Params, hparams: Hparams) -> dict[str, Any]:
    """The Gaussian's standard deviation as a number of the table, if there is one."""
    if model.likelihood.kind != "density":
        return {}
    log_sigma = model.likelihood_params(params).get("log_sigma")
    value = hparams.sigma if log_sigma is None else np.exp(log_sigma)
    how = "fixed" if log_sigma is None else "learned"
    return {
        "sigma": {"value": float(value), "unit": "pixel values of 0 to 1", "how": how}
    }


def active_units(groups: tuple[np.ndarray, ...]) -> dict[str, Any]:
    """The number of latents in use, as a number of the table.

    Args:
        groups: the posterior means ``[N, Z]`` of each group of latents.
    """
    counts = [evaluate.active_units(means) for means in groups]
    total = sum(means.shape[1] for means in groups)
    found = {
        "value": sum(counts),
        "unit": f"of {total} latents",
        "n": len(groups[0]),
        "how": f"variance of the posterior mean over images above {evaluate.ACTIVE}",
    }
    if len(counts) > 1:
        found["groups"] = counts
    return {"active_units": found}


def is_binary(images: np.ndarray) -> bool:
    """Whether every pixel is black or white."""
    white = 255 if images.dtype == np.uint8 else 1
    return bool(((images == 0) | (images == white)).all())


def table(found: dict[str, Any]) -> str:
    """``eval.json`` as a person reads it."""
    head = (
        f"{found['data']['name']}, {found['split']} split, {found['checkpoint']} "
        f"checkpoint, step {found['step']} (epoch {found['epoch']}):"
    )
    lines = [head]
    for name, number in found["numbers"].items():
        error = number.get("standard_error")
        spread = "" if error is None else f" +- {error:.3f}"
        count = f", n = {number['n']}" if "n" in number else ""
        value = number["value"]
        shown = "not finite" if value is None else _shown(value)
        lines.append(f"  {name:<13}{shown:>10}{spread:<10} {number['unit']}{count}")
    lines.append(
        f"  bound_kind   {found['bound_kind']} ({BOUNDS[found['bound_kind']]})"
    )
    return "\n".join(lines)


def _shown(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def source(dataset: data.Dataset) -> dict[str, Any]:
    """Which data the numbers are of."""
    return {
        "name": dataset.name,
        "source": dataset.source,
        "train": len(dataset.train.images),
        "valid": len(dataset.valid.images),
        "test": len(dataset.test.images),
        "image_shape": list(dataset.test.images.shape[1:]),
    }


def digests(dataset: data.Dataset) -> dict[str, str]:
    """What tells whether a run goes on with the images that it began with."""
    parts = {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}
    return {part: data.digest(split) for part, split in parts.items()}
