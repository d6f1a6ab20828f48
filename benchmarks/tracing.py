"""What a profile of ``jax.profiler`` says of the device."""

import collections
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import jax

TOP = 12  # names to list


class Event(NamedTuple):
    """One kernel, with its times in microseconds."""

    name: str
    start: float
    end: float


class Busy(NamedTuple):
    """Microseconds covered by at least one event, and the names that took most."""

    covered: float
    top: list[tuple[str, float]]


def device_events(folder: pathlib.Path) -> list[Event]:
    """Kernels in a trace; where there is no accelerator, what XLA's threads did."""
    path = next(folder.rglob("*.xplane.pb"))
    planes = list(jax.profiler.ProfileData.from_file(str(path)).planes)
    devices = [p for p in planes if p.name.startswith("/device:")]
    lines = [line for p in devices for line in p.lines if "Stream" in line.name]
    if not lines:
        hosts = [p for p in planes if p.name.startswith("/host:CPU")]
        lines = [line for p in hosts for line in p.lines if "XLA" in line.name]
    return [
        Event(e.name, e.start_ns / 1e3, (e.start_ns + e.duration_ns) / 1e3)
        for line in lines
        for e in line.events
    ]


def busy(events: Iterable[Event]) -> Busy:
    """Of events that may overlap."""
    covered, reached = 0.0, float("-inf")
    by_name = collections.Counter()
    for name, start, end in sorted(events, key=lambda event: event.start):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
        by_name[name] += end - start
    return Busy(covered, by_name.most_common(TOP))
