"""``metrics.jsonl``: one row, a JSON object with a step, a line."""

import logging
import pathlib
import shutil
from collections.abc import Collection
from typing import Any

from vae_jax import files

LOGGER = logging.getLogger("vae_jax")
NAME = "metrics.jsonl"


def append_row(folder: pathlib.Path, row: dict[str, Any]) -> None:
    """Adds one line.

    Raises:
        NotWritten: if that is not possible; half of it may be there, and is no row.
    """
    path = folder / NAME
    with files.naming(path), path.open("a", encoding="utf-8") as file:
        file.write(files.as_json(row, indent=None))


def read_rows(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The rows. Lines that are none, such as a last one cut off, are left out."""
    return [row for row in map(_row, _lines(folder)) if row is not None]


def go_on_after(
    folder: pathlib.Path, step: int, expected: Collection[tuple[int, str]] = ()
) -> None:
    """Removes what was logged after the step from which a run goes on.

    Lines that are no rows are removed too, with a warning and a copy of the file as it
    was; a last one that is cut off is what a killed process leaves, and no damage.

    Args:
        folder: the run directory.
        step: from which it goes on.
        expected: epochs and splits of which there should be rows. If there are not, it
            is said.

    Raises:
        NotWritten: if that is not possible.
    """
    path, lines = folder / NAME, _lines(folder)
    rows = {number: _row(line) for number, line in enumerate(lines, start=1)}
    bad = [number for number, row in rows.items() if row is None]
    if bad and _is_start(lines[-1]):
        bad = [number for number in bad if number != len(lines)]
    if bad:
        which = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        _copy(path, f"no row in line {which}, which is left out")
    logged = {row["step"] for row in rows.values() if row is not None}
    # A process that is killed before its first checkpoint may have logged one epoch.
    if not step and len(logged) > 1:
        _copy(path, "is of a run without checkpoints, which begins anew")
    kept = [row for row in rows.values() if row is not None and row["step"] <= step]
    text = "".join(files.as_json(row, indent=None) for row in kept)
    files.write_text(path, text)
    lost = set(expected) - {(row.get("epoch"), row.get("split")) for row in kept}
    if lost:
        epochs = ", ".join(str(epoch) for epoch in sorted({epoch for epoch, _ in lost}))
        LOGGER.warning("%s: rows of these epochs are lost: %s", path, epochs)


def _copy(path: pathlib.Path, reason: str) -> None:
    aside = files.name_aside(path)
    with files.naming(aside):
        shutil.copyfile(path, aside)
    LOGGER.warning("%s: %s; a copy is in %s", path, reason, aside.name)


def _is_start(line: bytes) -> bool:
    return line.startswith(b'{"step"') and not line.endswith(b"\n")


def _lines(folder: pathlib.Path) -> list[bytes]:
    path = folder / NAME
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def _row(line: bytes) -> dict[str, Any] | None:
    row = files.object_of(line)
    return row if row is not None and type(row.get("step")) is int else None
