"""How far runs are from the first of them, image by image."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float

from vae_jax.comparison.runs import Number, Run

# Of eval.json, what is a mean over images; and the bits/dim that come from it.
PAIRED = {"elbo": "bits_per_dim", "iw_bound": "iw_bits_per_dim"}


def differences(runs: Sequence[Run]) -> Iterator[tuple[str, list[Number | None]]]:
    """Names with a mean difference for each run, None for those that have none.

    The first run is what the others are held against, so its own is None.
    """
    first, *others = runs
    for nats, bits in PAIRED.items():
        found = [_difference(first, other, nats) for other in others]
        if not any(found):
            continue
        yield nats, [None, *found]
        known = [bits in run.evaluation["numbers"] for run in runs]
        if all(known):
            num_values = math.prod(first.evaluation["data"]["image_shape"])
            yield bits, [None, *(one and _in_bits(one, num_values) for one in found)]


def _difference(first: Run, other: Run, name: str) -> Number | None:
    """Of the means over those images that both have a value of."""
    if name not in first.images or name not in other.images:
        return None
    difference = other.images[name] - first.images[name]
    finite = difference[_known(first, name) & _known(other, name)]
    if len(finite) < 2:
        return None
    error = finite.std(ddof=1) / math.sqrt(len(finite))
    return {
        "value": float(finite.mean()),
        "standard_error": float(error),
        "n": len(finite),
        "unit": first.evaluation["numbers"][name]["unit"],
    }


def _known(run: Run, name: str) -> Bool[np.ndarray, " N"]:
    values: Float[np.ndarray, " N"] = run.images[name]
    return np.isfinite(values)


def _in_bits(of_nats: Number, num_values: int) -> Number:
    scale = 1 / (num_values * math.log(2))
    return {
        "value": -scale * of_nats["value"],
        "standard_error": scale * of_nats["standard_error"],
        "n": of_nats["n"],
        "unit": "bits per value",
    }
