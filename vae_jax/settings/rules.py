"""Which values a field of a config may have, whatever the others."""

from collections.abc import Callable
from typing import Any, NamedTuple

# Far beyond what makes sense, and far below where XLA ends the process without a word.
WIDEST = 2**20  # of vectors
LARGEST = 2**13  # of the sides of images
TINIEST = 1e-30  # of positive numbers; much smaller ones are 0 in float32


class Rule(NamedTuple):
    """Which values a field allows."""

    allows: Callable[[Any], bool]
    text: str  # completes "must be ..."


def one_of(*names: str) -> Rule:
    text = "one of " + ", ".join(names)
    return Rule(lambda v: isinstance(v, str) and v in names, text)


def data_set(*names: str) -> Rule:
    """One of ``names``, or anything that could be the name of a set of TFDS."""

    def allows(v):
        return isinstance(v, str) and (v in names or v.startswith("tfds:"))

    return Rule(allows, one_of(*names, "tfds:NAME").text)


def whole(low: int, below: int = 2**31) -> Rule:
    text = f"a whole number of at least {low} and below {below}"
    return Rule(lambda v: _is_int(v) and low <= v < below, text)


def real(low: float, below: float = 1e30, above: bool = False) -> Rule:
    """A number from ``low``, or above it, to below ``below``, and so for float32."""
    bounds = f"above {low:g}" if above else f"of at least {low:g}"

    def allows(v):
        number = isinstance(v, float) or _is_int(v)
        fits = number and (v == 0 or TINIEST <= abs(v)) and v < below
        return fits and (v > low if above else v >= low)

    return Rule(allows, f"a number {bounds} and below {below:g}")


def several(one: Rule) -> Rule:
    """A tuple of 1 to 99 of what ``one`` allows, such as "a whole number above 0"."""

    def allows(v):
        return isinstance(v, tuple) and 0 < len(v) < 100 and all(map(one.allows, v))

    each = one.text.removeprefix("a ").replace("number", "numbers", 1)
    return Rule(allows, f"a tuple of one or more {each}")


def whole_numbers(low: int, below: int = 2**31) -> Rule:
    return several(whole(low, below))


def _is_side(v: Any) -> bool:
    return whole(1, LARGEST).allows(v)


def _is_int(v: Any) -> bool:
    return isinstance(v, int) and not isinstance(v, bool)


TEXT = Rule(lambda v: isinstance(v, str) and "\0" not in v, "text")
NAME = Rule(
    lambda v: (
        isinstance(v, str)
        and v.strip(". ")
        and "/" not in v
        and v.isprintable()
        and len(v.encode()) <= 200  # of the 255 that there are, for a date too
    ),
    "printable text that can be part of a folder's name",
)
SIZE = Rule(
    lambda v: isinstance(v, tuple) and len(v) in (0, 2) and all(map(_is_side, v)),
    f"empty, or a height and a width of at least 1 and below {LARGEST}",
)
RANGE = Rule(
    lambda v: (
        isinstance(v, tuple)
        and len(v) in (0, 2)
        and all(isinstance(one, float) or _is_int(one) for one in v)
        and (not v or -100 <= v[0] < v[1] <= 100)
    ),
    "empty, or two numbers from -100 to 100, the lower one first",
)
CHANNELS = Rule(lambda v: _is_int(v) and v in (0, 1, 3), "0, 1 or 3")
SHARE = Rule(whole(-1).allows, "a whole number of at least 0, or -1 for a tenth")
PART = Rule(lambda v: real(0.0).allows(v) and v <= 1, "a number from 0 to 1")
EPOCHS = whole_numbers(0)
MARKS = Rule(
    lambda v: isinstance(v, tuple) and (not v or whole_numbers(1).allows(v)),
    f"empty, or {whole_numbers(1).text}",
)
SAMPLERS = ("prior", "mixture")
SOME_SAMPLERS = Rule(
    lambda v: (
        isinstance(v, tuple)
        and v
        and all(isinstance(one, str) and one in SAMPLERS for one in v)
        and len(set(v)) == len(v)
    ),
    "a tuple of prior, mixture or both, as in ('prior', 'mixture')",
)
POSITIVES = several(real(0.0, above=True))
SWITCH = Rule(lambda v: isinstance(v, bool), "True or False")
