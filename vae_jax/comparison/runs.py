"""One run as far as comparing needs it, and what to call it beside others."""

import math
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax import per_image, settings

Number = dict[str, Any]  # one entry of eval.json: value, unit, how it was got
BOUNDS = ("elbo", "recon", "kl", "bits_per_dim", "iw_bound", "iw_bits_per_dim")
SECTIONS = ("floor", "reconstruction", "prior", "mixture")  # of eval.json's samples
MOST = 1 << 1000  # of whole numbers; far larger ones are none as floats
NEEDED = {
    "split": str,
    "checkpoint": str,
    "epoch": int,
    "trained_epochs": int,
    "bound_kind": str,
    "data.name": str,
    "data.image_shape": list,
    "data.test": int,
    "numbers.elbo.value": (int, float, type(None)),
}


class Run(NamedTuple):
    """What the files of one run directory say."""

    folder: pathlib.Path
    evaluation: dict[str, Any]  # eval.json
    config: dict[str, Any]  # config.json, flat: dotted field to value
    digests: dict[str, str]  # data.json; empty where there is none
    images: per_image.Columns  # eval_images.csv; empty where there is none

    def numbers(self) -> Iterator[tuple[str, str, Number]]:
        """Section, "" for those of the bound, name and number, in their order."""
        for name, number in self.evaluation["numbers"].items():
            yield "", name, number
        samples = self.evaluation.get("samples", {})
        for section in SECTIONS:
            for name, number in samples.get(section, {}).items():
                yield section, name, number


def run_of(
    folder: pathlib.Path,
    evaluation: Any,
    config: Any,
    digests: Any,
    images: per_image.Columns,
) -> Run:
    """A run from what its files hold: see ``Run``.

    Raises:
        ValueError: if one of them is not what this project writes.
    """
    for name, content in {"config": config, "data": digests}.items():
        if not isinstance(content, dict):
            raise ValueError(f"{folder / name}.json: must be a JSON object")
    run = Run(folder, evaluation, settings.flat_of_run(config), digests, images)
    if not isinstance(run.config.get("model.name"), str):
        raise ValueError(
            f"{folder / 'config.json'}: must be the config of a run, got no model.name"
        )
    wrong = _first_wrong(run)
    if wrong:
        raise ValueError(
            f"{folder / 'eval.json'}: must be what --mode=eval writes, got {wrong}"
        )
    _check_images(run)
    return run


def _first_wrong(run: Run) -> str | None:
    """What of the evaluation is not as later code takes it to be."""
    for field, kind in NEEDED.items():
        value = run.evaluation
        for key in field.split("."):
            if not isinstance(value, dict) or key not in value:
                return f"no {field}"
            value = value[key]
        if not isinstance(value, kind):
            return f"{field} = {value!r}"
    shape = run.evaluation["data"]["image_shape"]
    for name, sides in {
        "data.image_shape": shape,
        "resolution": run.evaluation.get("resolution", shape),
    }.items():
        if not (isinstance(sides, list) and all(isinstance(n, int) for n in sides)):
            return f"{name} = {sides!r}"
    samples = run.evaluation.get("samples", {"protocol": {}})
    if not isinstance(samples, dict) or "protocol" not in samples:
        return "samples without a protocol"
    for part, content in samples.items():
        if not isinstance(content, dict):
            return f"samples.{part} = {content!r}"
    for section, name, number in run.numbers():
        where = f"{section} {name}".strip()
        if not isinstance(number, dict) or not {"value", "unit"} <= number.keys():
            return f"{where} without value and unit"
        if not isinstance(number["unit"], str):
            return f"{where} in the unit {number['unit']!r}"
        for part in (number["value"], number.get("standard_error")):
            if not isinstance(part, int | float | None):
                return f"{where} = {part!r}"
            if isinstance(part, int) and abs(part) > MOST:
                return f"{where} of {part.bit_length()} bits"
    return None


def _check_images(run: Run) -> None:
    """Accepts values of all test images whose mean is in the evaluation.

    A process that is killed while it evaluates may leave those of two evaluations.

    Raises:
        ValueError: if they are others.
    """
    numbers, num = run.evaluation["numbers"], run.evaluation["data"]["test"]
    path = run.folder / per_image.file_name()
    for name, values in run.images.items():
        if len(values) != num:
            raise ValueError(
                f"{path}: must have a line for each of {num} test images, got "
                f"{len(values)}"
            )
        if name not in numbers or not values.count():
            continue
        recorded = numbers[name]["value"]  # None: not finite
        mean, wanted = values.mean(), math.nan if recorded is None else recorded
        # Both are of the same float32 values.
        alike = math.isclose(mean, wanted, rel_tol=1e-5, abs_tol=1e-5)
        if not alike and np.isfinite([mean, wanted]).any():
            raise ValueError(
                f"{path}: must have the mean of eval.json in {name}, {wanted:.6g}, got "
                f"{mean:.6g}; evaluate the run again"
            )


def labels(folders: Sequence[pathlib.Path]) -> list[str]:
    """Of every path, as few of its last parts as no other path ends in.

    What cannot be printed in a line is escaped.

    Raises:
        ValueError: if two of them are the same folder.
    """
    for i, folder in enumerate(folders):
        for other in folders[:i]:
            if folder.resolve() == other.resolve():
                raise ValueError(
                    "--workdirs: must all be different runs, got the same one as "
                    f"{other} and {folder}"
                )
    paths = [pathlib.Path(os.path.abspath(folder)).parts for folder in folders]
    found = []
    for parts in paths:
        count = 1
        while sum(other[-count:] == parts[-count:] for other in paths) > 1:
            count += 1
        found.append(printable(str(pathlib.Path(*parts[-count:]))))
    return found


def printable(text: str) -> str:
    """The text with what cannot be printed in a line escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
