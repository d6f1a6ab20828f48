"""The table of several runs, as markdown and as CSV."""

import csv
import io
import math
import re
from collections.abc import Sequence

from vae_jax.comparison.runs import Number, printable
from vae_jax.comparison.tables import ABOUT, Column, Comparison

HIGHER_IS_BETTER = {"elbo", "iw_bound", "precision", "recall", "density", "coverage"}
LOWER_IS_BETTER = {"bits_per_dim", "iw_bits_per_dim", "fd", "fid", "kid"}
LEGEND = (
    "+- is one standard error. Bold is the best of a number, by whatever margin; "
    "numbers of which neither more nor less is better have none."
)
MARKUP = re.compile(r"[\\`*<>\[\]&~]|\b_|_\b")  # what markdown does not show as it is
Value = float | int | None  # in eval.json, null stands for what is not finite


def as_csv(found: Comparison) -> str:
    """One line for each run; numbers unrounded, each beside its standard error.

    A number that a run does not have is an empty cell, one that is not finite ``nan``.
    """
    heads, columns = list(ABOUT), []
    for column in (*found.columns, *found.pairs):
        unit = f" ({column.unit})" if column.unit else ""
        parts = {"value": column.head + unit}
        if any(cell and "standard_error" in cell for cell in column.cells):
            parts["standard_error"] = f"{column.head} standard error{unit}"
        if not unit:
            parts["unit"] = f"{column.head} unit"
        if column in found.pairs:  # the number of images measured in both runs
            parts["n"] = f"{column.head} n"
        heads += parts.values()
        columns += [[_raw(cell, part) for cell in column.cells] for part in parts]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(
        [*about, *cells]
        for about, cells in zip(found.about, zip(*columns, strict=True), strict=True)
    )
    return text.getvalue()


def _raw(cell: Number | None, part: str) -> str:
    if cell is None or part not in cell:
        return ""
    value = cell[part]
    if isinstance(value, str):
        return value
    return repr(value) if _is_finite(value) else "nan"


def as_markdown(found: Comparison, turned: bool = False) -> str:
    """The table, how its numbers were got, and a table of differing config fields.

    Args:
        found: the runs.
        turned: whether runs are columns, which fits a narrow console, or rows.
    """
    grid = [[*ABOUT], *([_cell(text) for text in about] for about in found.about)]
    for column in found.columns:
        unit = f" ({column.unit})" if column.unit else ""
        best = _best(column)
        cells = [_shown(cell, column.unit, best) for cell in column.cells]
        for row, text in zip(grid, [_cell(column.head + unit), *cells], strict=True):
            row.append(text)
    names = [row[0] for row in grid[1:]]
    if turned:
        grid = [list(row) for row in zip(*grid, strict=True)]
    parts = [_table(grid), *(_plain(note) for note in (*found.notes, LEGEND))]
    if found.pairs:
        head = f"Difference from {found.about[0][0]}, image by image:"
        parts += [_plain(head), _paired(found, names)]
    if found.fields:
        rows = [[*map(_cell, (f, *values))] for f, values in found.fields.items()]
        parts += ["Config fields that differ:", _table([["field", *names], *rows])]
    if found.partial:
        listed = _plain(", ".join(found.partial))
        parts.append(f"Not in the config of every run: {listed}.")
    return "\n\n".join(parts) + "\n"


def _paired(found: Comparison, names: Sequence[str]) -> str:
    """The table of differences: a row for each number, a column for each other run."""
    grid = [["number", *names[1:], "n"]]
    for column in found.pairs:
        cells = column.cells[1:]
        shown = (_shown(cell, column.unit, None) for cell in cells)
        counts = dict.fromkeys(str(cell["n"]) for cell in cells if cell)
        grid.append([f"{column.name} ({column.unit})", *shown, ", ".join(counts)])
    return _table(grid)


def _best(column: Column) -> Value:
    """The best value, where one is better than another."""
    finite = {c["value"] for c in column.cells if c and _is_finite(c["value"])}
    kind = column.name.partition("_")[0] if column.section else column.name
    if len(finite) < 2 or column.section == "floor":  # which no model is part of
        return None
    if kind in HIGHER_IS_BETTER:
        return max(finite)
    return min(finite) if kind in LOWER_IS_BETTER else None


def _is_finite(value: Value) -> bool:
    return value is not None and math.isfinite(value)


def _shown(cell: Number | None, unit: str, best: Value) -> str:
    if cell is None:
        return ""
    text = _rounded(cell["value"], cell.get("standard_error"))
    if best is not None and cell["value"] == best:
        text = f"**{text}**"
    return text if unit else f"{text} {_cell(cell['unit'])}"


def _rounded(value: Value, error: Value) -> str:
    """To two digits of the standard error; without one, to four of the value."""
    if not _is_finite(value):
        return "not finite"
    if _is_finite(error) and error > 0:
        digits = _decimals(error, 2)
        return f"{_with_decimals(value, digits)} +- {_with_decimals(error, digits)}"
    if isinstance(value, int):
        return str(value)
    return _with_decimals(value, _decimals(value, 4))


def _decimals(value: float | int, digits: int) -> int:
    """After the point, to show so many digits."""
    exponent = math.floor(math.log10(abs(value))) if value else 0
    return max(digits - 1 - exponent, 0)


def _with_decimals(value: float | int, decimals: int) -> str:
    return f"{value:.{decimals}f}" if decimals < 10 else f"{value:.3e}"


def _plain(text: str) -> str:
    """What markdown and a console show as ``text``, in one line."""
    return MARKUP.sub(lambda found: "\\" + found[0], printable(text))


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _table(grid: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    head, *rows = (
        "| " + " | ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) + " |"
        for row in grid
    )
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([head, rule, *rows])
