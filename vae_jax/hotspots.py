"""Which parts of a program take how long, from a trace of what it executed.

What is executed are operations as the compiler has fused and numbered them, such as
``add_select_fusion.9``. The compiled text notes of most of them where in the program
they come from: ``jit(f)/while/body/transpose(jvp(Decoder))/pixels/dot_general`` is a
matrix product of the gradient of the layer ``Decoder/pixels``.
"""

import collections
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

SHOWN = 15
FORWARD, BACKWARD, OTHER = "forward", "backward", "other"
# Of how the program is built, and not of what it computes.
BUILT_OF = re.compile(
    "jit|while|body|cond|closed_call|branch_[0-9]+_fun|checkpoint|rematted_computation|"
    "custom_[jv][jv]p_call|core_call|remat|eval_jaxpr"
)


class Event(NamedTuple):
    """One execution of one operation."""

    name: str
    start: float  # seconds, from any moment
    seconds: float


class Cost(NamedTuple):
    """Of all operations of one origin."""

    seconds: float
    times: int  # that they were executed


class Origin(NamedTuple):
    """Where in a program an operation comes from."""

    passed: str  # FORWARD or BACKWARD, of what is differentiated; or OTHER
    place: str  # the layer or function, and what it does there


def own_costs(lines: Iterable[Iterable[Event]]) -> dict[str, Cost]:
    """Of each operation, without the operations that are executed within it.

    Args:
        lines: the events of one thread or stream each, in which one is within another
            or beside it.
    """
    seconds, times = collections.Counter(), collections.Counter()
    for line in lines:
        around: list[Event] = []
        for event in sorted(line, key=lambda e: (e.start, -e.seconds)):
            while around and around[-1].start + around[-1].seconds <= event.start:
                around.pop()
            if around:
                seconds[around[-1].name] -= event.seconds
            seconds[event.name] += event.seconds
            times[event.name] += 1
            around.append(event)
    return {name: Cost(seconds[name], times[name]) for name in times}


def sources(compiled: str) -> dict[str, str]:
    """Of the operations of a compiled program's text, what it notes of their origin."""
    noted = r'^\s*(?:ROOT )?%?([\w.\-]+) = .*?metadata=\{[^}]*?op_name="([^"]*)"'
    return dict(re.findall(noted, compiled, re.MULTILINE))


def origin(source: str) -> Origin:
    """What such a note says, in a form to be read; without the function as a whole."""
    passed, places = OTHER, []
    for part in source.split("/")[1:]:
        while found := re.fullmatch(r"(\w*)\((.*)\)", part):
            if found[1] == "transpose":
                passed = BACKWARD
            elif found[1] == "jvp" and passed == OTHER:
                passed = FORWARD
            part = found[2]
        if part and not BUILT_OF.fullmatch(part):
            places.append(part)
    return Origin(passed, "/".join(places))


def by_origin(
    costs: Mapping[str, Cost], noted: Mapping[str, str]
) -> dict[Origin, Cost]:
    """The same costs, summed over all operations of one origin, highest first.

    Those of no origin, or of several, are summed by kind, as ``copy.3`` and ``copy.8``.
    """
    found: dict[Origin, Cost] = {}
    for name, cost in costs.items():
        kind = Origin(OTHER, re.sub(r"[.\d]+$", "", name))
        # XLA joins the notes of operations that it merges, such as sums over devices.
        is_of_one = name in noted and ":" not in noted[name]
        key = origin(noted[name]) if is_of_one else kind
        known = found.get(key, Cost(0.0, 0))
        found[key] = Cost(known.seconds + cost.seconds, known.times + cost.times)
    return dict(sorted(found.items(), key=lambda item: -item[1].seconds))


def table(costs: Mapping[Origin, Cost], steps: int, seconds: float) -> str:
    """The highest costs of each of some steps, and how much of their time they are.

    Args:
        costs: of all steps, as ``by_origin`` gives them.
        steps: how many.
        seconds: that all of them took.
    """
    total = sum(cost.seconds for cost in costs.values())
    within, whole = 1000 * total / steps, 1000 * seconds / steps
    lines = [
        f"{_digits(whole)} ms a step, {_digits(within)} ms of it "
        f"({within / whole:.0%}) in operations",
        f"{'share':>8}{'ms a step':>12}{'times':>8}  pass      part of the program",
    ]
    rows = list(costs.items())
    lines += [
        _row(cost, total, steps, key.passed, key.place or "(the loop itself)")
        for key, cost in rows[:SHOWN]
    ]
    if rest := [cost for _, cost in rows[SHOWN:]]:
        cost = Cost(sum(c.seconds for c in rest), sum(c.times for c in rest))
        lines.append(_row(cost, total, steps, "", f"{len(rest)} parts more"))
    return "\n".join(lines)


def _row(cost: Cost, total: float, steps: int, passed: str, place: str) -> str:
    share, each = cost.seconds / total, _digits(1000 * cost.seconds / steps)
    times = _digits(cost.times / steps)
    return f"{share:>8.1%}{each:>12}{times:>8}  {passed:<8}  {place}"


def _digits(value: float) -> str:
    """Three of them, or all in front of the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def best_text(texts: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """What is noted in the one of several programs that knows most of the operations.

    They have numbers, which mean another thing in each program.
    """
    wanted = set(names)
    noted = [sources(text) for text in texts]
    return max(noted, key=lambda found: len(wanted & found.keys()), default={})
