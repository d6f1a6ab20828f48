"""The numbers of several runs, column by column."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from vae_jax import settings
from vae_jax.comparison.agreement import check, times
from vae_jax.comparison.pairs import differences
from vae_jax.comparison.runs import BOUNDS, SECTIONS, Number, Run, labels

ABOUT = ("run", "model", "parameters", "epochs", "checkpoint")


class Column(NamedTuple):
    """One number of all runs."""

    section: str  # of eval.json's samples; "": of the bound; or "difference from ..."
    name: str
    unit: str  # "" where runs have different ones
    cells: tuple[Number | None, ...]  # None: the run does not have it

    @property
    def head(self) -> str:
        return f"{self.section} {self.name}".strip()


class Comparison(NamedTuple):
    """Runs side by side."""

    about: tuple[tuple[str, ...], ...]  # of each run, what ``ABOUT`` names
    columns: tuple[Column, ...]
    pairs: tuple[Column, ...]  # distances to the first run, image by image
    notes: tuple[str, ...]  # how the numbers were got
    fields: dict[str, tuple[str, ...]]  # of the config that differ; "": has no such
    partial: tuple[str, ...]  # fields that runs of older versions do not have


def compare(runs: Sequence[Run]) -> Comparison:
    """The numbers and the differing config fields of runs.

    Raises:
        ValueError: if two are the same run, or their numbers cannot be compared.
    """
    names = labels([run.folder for run in runs])
    check(runs, names)
    about = tuple(_about(run, name) for run, name in zip(runs, names, strict=True))
    columns = tuple(_columns(runs))
    notes = tuple(dict.fromkeys(_notes(runs, names, columns)))
    fields, partial = _fields(runs)
    pairs = tuple(
        Column(
            f"difference from {names[0]}",
            name,
            next(filter(None, cells))["unit"],
            tuple(cells),
        )
        for name, cells in differences(runs)
    )
    return Comparison(about, columns, pairs, notes, fields, tuple(partial))


def _about(run: Run, name: str) -> tuple[str, ...]:
    found = run.evaluation
    trained, seen = found["trained_epochs"], found["epoch"]
    which = found["checkpoint"] + (f", epoch {seen}" if seen != trained else "")
    count = str(found.get("parameters", ""))  # older versions did not say
    return name, run.config["model.name"], count, str(trained), which


def _columns(runs: Sequence[Run]) -> Iterator[Column]:
    each = [{(part, name): n for part, name, n in run.numbers()} for run in runs]
    wanted = [("", name) for name in (*BOUNDS, "active_units")]
    for section in SECTIONS:
        wanted += dict.fromkeys(key for of in each for key in of if key[0] == section)
    for key in wanted:
        cells = tuple(of.get(key) for of in each)
        units = {cell["unit"] for cell in cells if cell}
        if units:
            yield Column(*key, units.pop() if len(units) == 1 else "", cells)


def _notes(
    runs: Sequence[Run], names: Sequence[str], columns: Sequence[Column]
) -> Iterator[str]:
    found = runs[0].evaluation
    source = found["data"]
    yield (
        f"{source['name']}, {found['split']} split: {source['test']} images of "
        f"{times(source['image_shape'])}; bound_kind: {found['bound_kind']}."
    )
    for column in columns:
        known = [(n, c) for n, c in zip(names, column.cells, strict=True) if c]
        first = known[0][1]
        if column.name == "iw_bound":
            yield f"iw_bound: {first.get('how')}, n = {first.get('n')}."
        if column.name == "active_units" or column.section == "floor":
            key = "n_fake" if column.section else "n"
            counts = {name: cell.get(key) for name, cell in known}
            if len(set(counts.values())) > 1:
                listing = "; ".join(f"{num} in {name}" for name, num in counts.items())
                what = column.section or column.name
                yield f"{what}: of different numbers of images, {listing}."
    without = [n for n, run in zip(names, runs, strict=True) if not run.images]
    if without:
        yield (
            f"No differences image by image of {', '.join(without)}, which an older "
            "version has evaluated: evaluate again."
        )
    protocols = [run.evaluation.get("samples", {}).get("protocol") for run in runs]
    protocol = next(filter(None, protocols), None)
    if protocol:
        weights = protocol.get("sha256")
        extractor = str(protocol.get("extractor"))
        extractor += f" (sha256 {weights})" if weights else ""
        yield (
            f"{', '.join(SECTIONS)}: extractor {extractor}, "
            f"{protocol.get('n_real')} test images, "
            f"{protocol.get('n_fake')} samples, image: {protocol.get('pixels')}."
        )
    for warning in dict.fromkeys(
        str(p["warning"]) for p in protocols if p and "warning" in p
    ):
        yield f"Warning: {warning}."


def _fields(runs: Sequence[Run]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Those that differ, and those that only some runs have, who agree on them.

    Without names, places, evaluation and how often to save: they shape no result.
    """
    # As text, in which one value for all stages is the same with and without a list.
    each = [{field: _typed(v) for field, v in run.config.items()} for run in runs]
    hidden = settings.MAY_CHANGE - {"train.epochs"}
    differing, partial = {}, []
    for field in dict.fromkeys(field for of in each for field in of):
        known = [of[field] for of in each if field in of]
        if field in hidden:
            continue
        if len(set(known)) > 1:
            differing[field] = tuple(of.get(field, "") for of in each)
        elif len(known) < len(runs):
            partial.append(field)
    return differing, partial


def _typed(value: Any) -> str:
    """A field as it is given on the command line."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
