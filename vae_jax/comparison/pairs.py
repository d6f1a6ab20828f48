"""How far runs are from the first of them, image by image."""

import math
from collections.abc import Iterator, Sequence

from vae_jax.comparison.runs import Number, Run

# Of eval.json, what is a mean over images; and the bits/dim that come from it.
PAIRED = {"elbo": "bits_per_dim", "iw_bound": "iw_bits_per_dim"}


def differences(runs: Sequence[Run]) -> Iterator[tuple[str, list[Number | None]]]:
    """Names with a mean difference for each run, None for those that have none.

    The first run is what the others are held against, so its own is None.
    """
    first, *others = runs
    num_values = math.prod(first.evaluation["data"]["image_shape"])
    for nats, bits in PAIRED.items():
        found = [_difference(first, other, nats) for other in others]
        with_bits = [
            one and _in_bits(one, num_values) if _both(first, other, bits) else None
            for one, other in zip(found, others, strict=True)
        ]
        for name, cells in {nats: found, bits: with_bits}.items():
            if any(cells):
                yield name, [None, *cells]


def _both(first: Run, other: Run, name: str) -> bool:
    return all(name in run.evaluation["numbers"] for run in (first, other))


def _difference(first: Run, other: Run, name: str) -> Number | None:
    """Of the means over those images of which both were measured."""
    if name not in first.images or name not in other.images:
        return None
    each = (other.images[name] - first.images[name]).compressed()
    if len(each) < 2:
        return None
    return {
        "value": float(each.mean()),
        "standard_error": float(each.std(ddof=1) / math.sqrt(len(each))),
        "n": len(each),
        "unit": first.evaluation["numbers"][name]["unit"],
    }


def _in_bits(of_nats: Number, num_values: int) -> Number:
    scale = 1 / (num_values * math.log(2))
    return {
        "value": 0.0 - scale * of_nats["value"],  # no -0.0
        "standard_error": scale * of_nats["standard_error"],
        "n": of_nats["n"],
        "unit": "bits per value",
    }
