"""How near generated images are to real ones, in the features of one extractor."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vae_jax import distances
from vae_jax.contracts import Extractor

SEED = 0  # of the subsets that KID and the extrapolation draw
UNIT = "squared units of the features"
UNITS = {"density": "ratio, may exceed 1"}  # of the others in it, a share


class Features(NamedTuple):
    """Of one set of images."""

    rows: Float[np.ndarray, "N D"]
    moments: distances.Moments


def of_rows(rows: Float[np.ndarray, "N D"]) -> Features:
    """Those features, with their moments.

    Raises:
        ValueError: if one is not finite, or there is one row alone.
    """
    return Features(rows, distances.moments(rows))


def distance_name(extractor: Extractor) -> str:
    """``fid`` for the features that define it, else ``fd_`` and the extractor's."""
    return "fid" if extractor.name == "inception" else f"fd_{extractor.name}"


def distance(
    extractor: Extractor, real: Features, other: Features, what: str
) -> dict[str, Any]:
    """The Fréchet distance as a number of the table."""
    value = distances.frechet_distance(real.moments, other.moments)
    sizes = _sizes(real, other)
    return {
        distance_name(extractor): {"value": value, **sizes, "unit": UNIT, "how": what}
    }


def comparison(
    extractor: Extractor, real: Features, fake: Features, what: str, infinity: bool
) -> dict[str, Any]:
    """Every measure of generated images against real ones, as numbers of the table."""
    found = distance(extractor, real, fake, what)
    sizes = _sizes(real, fake)
    if infinity and len(fake.rows) >= fewest_for_infinity(extractor):
        line = distances.frechet_infinity(real.moments, fake.rows, SEED)
        found[f"{distance_name(extractor)}_infinity"] = {
            "value": line.value,
            "fit_error": line.fit_error,
            **sizes,
            "unit": UNIT,
            "how": f"{what}; extrapolated in 1/n to infinitely many",
        }
    kid = distances.kid(real.rows, fake.rows, SEED)
    found[f"kid_{extractor.name}"] = {
        "value": kid.value,
        "standard_error": kid.standard_error,
        **sizes,
        "unit": "squared MMD",
        "how": f"{what}; {_subsets(kid)} of {kid.subset_size}, cubic kernel",
    }
    neighbours = 5
    shares = distances.prdc(real.rows, fake.rows, k=neighbours)
    for name, value in shares._asdict().items():
        found[f"{name}_{extractor.name}"] = {
            "value": value,
            **sizes,
            "unit": UNITS.get(name, "share"),
            "how": f"{what}; {neighbours} nearest neighbours",
        }
    return found


def _subsets(kid: distances.Kid) -> str:
    return "1 subset" if kid.subsets == 1 else f"{kid.subsets} subsets"


def fewest_for_infinity(extractor: Extractor) -> int:
    """Samples below which ``distances.frechet_infinity`` has no line to fit."""
    return 4 * extractor.dims


def too_few(extractor: Extractor, *sets: Features) -> str | None:
    """What is to be said if a covariance cannot have full rank."""
    if all(of.moments.full_rank for of in sets):
        return None
    fewest = min(of.moments.n for of in sets)
    return (
        f"{extractor.name}: {fewest} images are too few for a covariance of full rank "
        f"in {extractor.dims} dimensions, so Fréchet distances are far too high"
    )


def _sizes(real: Features, fake: Features) -> dict[str, int]:
    return {"n_real": len(real.rows), "n_fake": len(fake.rows)}
