"""The final evaluation: its numbers, how they were got, and their table."""

import math
from typing import Any, NamedTuple

import numpy as np

from vae_jax import data, evaluate
from vae_jax.contracts import Hparams, Model, Params

BOUNDS = {
    "probability_mass": "ELBO, a lower bound on the log-probability of an image",
    "density": "ELBO, a lower bound on the log-density of an image",
    "cross_entropy": "minus (cross-entropy + KL): no likelihood, as pixels are grey "
    "or averages",
}


class Bound(NamedTuple):
    """What the ELBO on images bounds."""

    kind: str  # see ``evaluate.bound_kind``
    num_values: int | None  # of an image, if they are whole 8-bit levels
    scale: str  # of the pixels

    def in_bits(self, nats: evaluate.Estimate) -> dict[str, Any]:
        """The bound in bits/dim as a part of a number of the table, if it can be."""
        if self.num_values is None:
            return {}
        bits = evaluate.bits_per_dim(nats, self.kind, self.num_values, self.scale)
        return {**bits._asdict(), "unit": "bits per value"} if bits else {}


def bound_on(images: data.Images, model: Model, scale: str) -> Bound:
    """What the ELBO bounds: looks through all of the images.

    Before its last stage, a model sees averages over pixels, which are grey and of no
    level.
    """
    whole = sees_whole_images(model)
    two_levels = whole and is_binary(images)
    # With another scale than unit, black and white are not 0 and 1.
    binary = two_levels and scale == "unit"
    kind = evaluate.bound_kind(model.likelihood.kind, binary, whole)
    # A density has no bits/dim on two levels, whose bins are not 1/255 wide.
    of_bytes = images.dtype == np.uint8 and not two_levels
    levels = whole and (of_bytes or kind == "probability_mass")
    return Bound(kind, math.prod(images.shape[1:]) if levels else None, scale)


def sees_whole_images(model: Model) -> bool:
    """Whether its likelihood is one of every pixel, as in the last stage of growth."""
    return model.stage == model.num_stages - 1


def evaluation(
    terms: dict[str, np.ndarray], on: Bound, kl: str, iw_samples: int
) -> dict[str, Any]:
    """The numbers of one split from the terms of its images.

    Args:
        terms: of an objective, whose own bound, if it has one, is here called
            ``objective_bound``: ``iw_bound`` is that of ``importance``.
        on: what the bound is on.
        kl: how the KL was got.
        iw_samples: of the bound that was trained for, if it was.

    Returns:
        Name to value, standard error, n, unit and how. Bits/dim only where the bound is
        one on a likelihood of whole 8-bit images.
    """
    groups = sum(name.startswith("kl_group_") for name in terms)
    given = ", given one draw of the coarser groups"
    how = {
        "elbo": BOUNDS[on.kind],
        "recon": "E_q[-log p(x|z)], one draw of z for each image, all constants",
        "kl": f"KL(q(z|x) || p(z)), {kl}{given if groups > 1 else ''}",
    }
    for group in range(groups if groups > 1 else 0):
        how[f"kl_group_{group}"] = (
            f"the part of the KL of one group of latents, {kl}{given if group else ''}"
        )
    if "objective_bound" in terms:
        how["objective_bound"] = (
            f"importance-weighted bound of {iw_samples} samples, as trained for"
        )
    found = {name: evaluate.estimate(terms[name]) for name in how}
    numbers = {
        name: {**found[name]._asdict(), "unit": "nats per image", "how": how[name]}
        for name in how
    }
    if bits := on.in_bits(found["elbo"]):
        how = f"from the ELBO, {on.num_values} values, scale {on.scale}"
        numbers["bits_per_dim"] = {**bits, "how": how}
    return numbers


def sigma(model: Model, params: Params, hparams: Hparams) -> dict[str, Any]:
    """The one scale of all pixels as a number of the table, if there is one."""
    name = model.likelihood.scale_name
    if not name:
        return {}
    log_sigma = model.likelihood_params(params).get("log_sigma")
    value = hparams.sigma if log_sigma is None else np.exp(log_sigma)
    how = "fixed" if log_sigma is None else "learned"
    return {name: {"value": float(value), "unit": "pixel values of 0 to 1", "how": how}}


def latents(groups: tuple[evaluate.Posteriors, ...]) -> dict[str, Any]:
    """The number of latents in use, as a number of the table, group by group."""
    counts = [
        evaluate.active_units(of.mean, of.noise) if np.isfinite(of.mean).all() else None
        for of in groups
    ]
    total = sum(of.mean.shape[1] for of in groups)
    found = {
        "value": None if None in counts else sum(counts),
        "unit": f"of {total} latents",
        "n": len(groups[0].mean),
        "how": f"variance of the posterior mean over images above {evaluate.ACTIVE}",
    }
    if len(counts) > 1:
        found["how"] += (
            f"; of a mean over {evaluate.ANCESTORS} draws of coarser groups, less the "
            "variance by those draws"
        )
        found["groups"] = counts
    return {"active_units": found}


def kl_per_dimension(
    groups: tuple[evaluate.Posteriors, ...], to_mixture: bool
) -> dict[str, Any]:
    """The KL of every latent, in the mean over images, group by group.

    ``to_mixture``: whether the prior of the first group is a mixture.
    """
    values = [of.kl.mean(axis=0, dtype=np.float64).tolist() for of in groups]
    exact, draws = "in closed form", evaluate.ANCESTORS if len(groups) > 1 else 1
    later = f"{exact}, mean over {draws} draws of coarser groups"
    how = [exact] + [later] * (len(groups) - 1)
    if to_mixture:
        how[0] = (
            f"estimated, draws for each image: {draws}; to the marginals of a mixture, "
            "so the sum is not the KL"
        )
    return {"groups": values, "n": len(groups[0].kl), "unit": "nats", "how": how}


def importance(found: evaluate.Importance, on: Bound, samples: int) -> dict[str, Any]:
    """The importance-weighted bound as numbers of the table, with what it rests on.

    ``samples``: for each image.
    """
    bound = evaluate.estimate(found.bound)
    how = f"importance-weighted bound, {samples} samples for each image"
    numbers = {
        "iw_bound": {**bound._asdict(), "unit": "nats per image", "how": how}
        | {"samples": samples}
    }
    if bits := on.in_bits(bound):
        how = f"from the bound of {samples} samples, scale {on.scale}"
        numbers["iw_bits_per_dim"] = {**bits, "how": how}
    ess = evaluate.estimate(found.ess)
    numbers["iw_ess"] = {
        **ess._asdict(),
        "smallest": float(found.ess.min()),
        "unit": f"of {samples} samples",
        "how": "effective sample size of the weights; near 1, the bound is not tight",
    }
    return numbers


def parts_of_kl(
    found: evaluate.Decomposition, first_of_many: bool, to_mixture: bool
) -> dict[str, Any]:
    """The decomposition of the KL as numbers of the table.

    ``to_mixture``: whether the prior is one.
    """
    num = len(found.mutual_information)
    bias = "; the two are too high, in sum, by what the first lacks, which +- excludes"
    how = {
        "mutual_information": f"of z and which of the {num} images; at most log n, "
        f"{np.log(num):.2f}",
        "total_correlation": "KL(q(z) || prod_j q(z_j))" + bias,
        "dimension_wise_kl": "sum_j KL(q(z_j) || p(z_j))" + bias,
    }
    if to_mixture:
        how["dimension_wise_kl"] = (
            "mean of sum_j log q(z_j) - log p(z): no KL, as a mixture does not split "
            "into dimensions; below 0 where it knows how latents go together" + bias
        )
    which = ", coarsest group" if first_of_many else ""
    return {
        name: {
            **evaluate.estimate(values)._asdict(),
            "unit": "nats",
            "how": how[name] + which,
        }
        for name, values in found._asdict().items()
    }


def is_binary(images: data.Images) -> bool:
    """Whether every pixel is black or white."""
    white = 255 if images.dtype == np.uint8 else 1
    return all(((b == 0) | (b == white)).all() for b in data.blocks(images))


def table(found: dict[str, Any]) -> str:
    """``eval.json`` as a person reads it."""
    head = (
        f"{found['data']['name']}, {found['split']} split, {found['checkpoint']} "
        f"checkpoint, step {found['step']} (epoch {found['epoch']}):"
    )
    lines = [head, *map(_line, *zip(*found["numbers"].items(), strict=True))]
    lines.append(f"  bound_kind: {found['bound_kind']} ({BOUNDS[found['bound_kind']]})")
    samples = dict(found.get("samples", {}))
    if samples:
        protocol = samples.pop("protocol")
        lines.append(
            f"against {protocol['real']}, {protocol['n_fake']} samples, "
            f"{protocol['pixels']}:"
        )
    for what, numbers in samples.items():
        lines.append(f" {what}")
        lines += map(_line, *zip(*numbers.items(), strict=True))
    return "\n".join(lines)


def _line(name: str, number: dict[str, Any]) -> str:
    error = number.get("standard_error")
    spread = "" if error is None or math.isnan(error) else f" +- {error:.3f}"
    count = f", n = {number['n']}" if "n" in number else ""
    value = number["value"]
    shown = "not finite" if value is None else _shown(value)
    return f"  {name:<28}{shown:>10}{spread:<12} {number['unit']}{count}"


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
