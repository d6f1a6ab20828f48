"""Whether the numbers of several runs can stand side by side."""

from collections.abc import Callable, Sequence
from typing import Any

from vae_jax.comparison.runs import BOUNDS, Run

PROTOCOL = ("extractor", "sha256", "n_real", "n_fake", "image_shape", "pixels")
# Of a run that is too old to have recorded its test images, what decides them.
DECIDING = (
    "data.name",
    "data.path",
    "data.image_size",
    "data.channels",
    "data.num_images",
    "data.test_size",
    "data.split_seed",
    "data.binarize",
)
TRAIN_ALIKE = (
    "Only runs that were trained to the end on the same data, with the same kind of "
    "likelihood, can be compared."
)
EVALUATE = (
    "Evaluate them again with the same eval fields: "
    "python main.py --mode=eval --workdir=RUN "
)
FIELDS_OF_SAMPLES = (
    "--config.eval.extractor=NAME --config.eval.num_samples=N --config.eval.pixels=P "
    "--config.eval.mixture_components=K --config.eval.mixture_images=M"
)
FIELDS_OF_BOUNDS = "--config.eval.iw_samples=K --config.eval.iw_images=N"


def check(runs: Sequence[Run], names: Sequence[str]) -> None:
    """Accepts runs that were evaluated alike on the same images.

    What a run does not say, or has no number of, is held against nobody.

    Raises:
        ValueError: otherwise, with what each run has, field by field, and what to do.
    """
    recorded = all("test" in run.digests for run in runs)

    def of_training(run: Run) -> dict[str, str]:
        return _of_training(run) | ({} if recorded else _deciding(run))

    rounds = (
        {of_training: TRAIN_ALIKE, _of_protocol: EVALUATE + FIELDS_OF_SAMPLES},
        # Of runs that are unlike, these would only repeat it, number by number.
        {
            _of_bounds: EVALUATE + FIELDS_OF_BOUNDS,
            _of_samples: EVALUATE + FIELDS_OF_SAMPLES,
        },
    )
    for advice in rounds:
        found = {facts: _disagreements(runs, names, facts) for facts in advice}
        lines = [line for lines in found.values() for line in lines]
        if lines:
            advised = [advice[facts] for facts in found if found[facts]]
            head = "--workdirs: must be runs with comparable numbers, got different"
            raise ValueError("\n".join(["\n  ".join([head, *lines]), *advised]))


def _disagreements(
    runs: Sequence[Run], names: Sequence[str], facts: Callable[[Run], dict[str, str]]
) -> list[str]:
    """A line for each fact that is not the same in all the runs that have it."""
    each = [facts(run) for run in runs]
    lines = []
    for fact in dict.fromkeys(fact for of in each for fact in of):
        known = {n: of[fact] for n, of in zip(names, each, strict=True) if fact in of}
        if len(set(known.values())) > 1:
            listing = "; ".join(f"{value} in {name}" for name, value in known.items())
            lines.append(f"{fact}: {listing}")
    return lines


def _of_training(run: Run) -> dict[str, str]:
    found, shape = run.evaluation, run.evaluation["data"]["image_shape"]
    facts = {
        "split": found["split"],
        "data.image_shape": times(shape),
        "test images": str(found["data"]["test"]),
        "bound_kind": found["bound_kind"],
    }
    if "test" in run.digests:
        facts["sha256 of the test images"] = str(run.digests["test"])
    resolution = found.get("resolution", shape[:2])
    # A model that still grows bounds averages over pixels. One that has grown may see
    # a border around the image, which no number counts.
    whole = all(seen >= side for seen, side in zip(resolution, shape, strict=False))
    facts["images of the bound"] = (
        "whole" if whole else f"averages, {times(resolution)}"
    )
    # Only a probability is the same on every scale.
    if found["bound_kind"] != "probability_mass" and "data.scale" in run.config:
        facts["data.scale, in which the bound is"] = str(run.config["data.scale"])
    # It has no constants in common with that of another likelihood on averages.
    if found["bound_kind"] == "cross_entropy" and "loss.recon" in run.config:
        facts["loss.recon"] = str(run.config["loss.recon"])
    return facts


def _deciding(run: Run) -> dict[str, str]:
    return {field: str(run.config[field]) for field in DECIDING if field in run.config}


def _of_protocol(run: Run) -> dict[str, str]:
    protocol = run.evaluation.get("samples", {}).get("protocol", {})
    return {f"samples {key}": str(protocol[key]) for key in PROTOCOL if key in protocol}


def _of_bounds(run: Run) -> dict[str, str]:
    """Of active units any number of images will do: they are counted, not averaged."""
    return {
        name: _basis(number, "n", "samples", "unit")
        for section, name, number in run.numbers()
        if not section and name in BOUNDS
    }


def _of_samples(run: Run) -> dict[str, str]:
    """The floor, which is of no model, is of as many training images as there are."""
    basis = "n_real", "n_fake", "unit", "how"
    of_floor = [key for key in basis if key != "n_fake"]
    return {
        f"{section} {name}": _basis(
            number, *(of_floor if section == "floor" else basis)
        )
        for section, name, number in run.numbers()
        if section
    }


def _basis(number: dict[str, Any], *keys: str) -> str:
    return ", ".join(f"{key} = {number[key]}" for key in keys if key in number)


def times(shape: Sequence[int]) -> str:
    """28 x 28 x 1."""
    return " x ".join(map(str, shape))
