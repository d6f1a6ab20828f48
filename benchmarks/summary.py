"""Medians with their spread, tables in Markdown, and the machine they were found on."""

import json
import os
import pathlib
import platform
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from vae_jax.machine import cores


class Spread(NamedTuple):
    """A median, and the smallest and largest of what it is the median of."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g}..{self.high:.3g})"


def spread(values: Sequence[float]) -> Spread:
    """Of one value or more."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Of the two values of each round, which the machine's moods touch alike."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def machine() -> dict[str, Any]:
    """What decides how fast it is, and whether something else was running."""
    cpu = platform.processor() or platform.machine()
    listing = pathlib.Path("/proc/cpuinfo")
    if listing.is_file():
        names = [x for x in listing.read_text().splitlines() if "model name" in x]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {
        "cpu": cpu,
        "cores_usable": cores(),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def write(folder: pathlib.Path, name: str, found: dict[str, Any], text: str) -> None:
    """``name.json`` and ``name.md`` in a folder, and the text on the console."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n")
    (folder / f"{name}.md").write_text(text + "\n")
    print(text, flush=True)
