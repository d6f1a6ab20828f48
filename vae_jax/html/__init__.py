"""A run as one page that needs nothing but itself: no network, no scripts."""

import pathlib
from typing import Any

from vae_jax import files
from vae_jax.html.elements import Html, code, element, joined, measured, text
from vae_jax.html.pictures import LARGEST, TEXTS
from vae_jax.html.sections import ALL, Run
from vae_jax.html.style import STYLE

__all__ = ["write"]

# Nothing is fetched or run, even if a browser found some way to it in the page.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
MAIN = {
    "elbo": "ELBO",
    "iw_bound": "Importance-weighted bound",
    "bits_per_dim": "Bits per dimension",
    "kl": "KL",
    "active_units": "Active units",
}


def write(
    folder: pathlib.Path, suffix: str = "", found: dict[str, Any] | None = None
) -> pathlib.Path:
    """Writes ``report<suffix>.html`` from what there is of a run, and returns its path.

    What has no file, or an older one without it, is left out.

    Args:
        folder: the run directory. Read are ``config.json``, ``environment.json``,
            ``metrics.jsonl``, ``data.json``, ``eval<suffix>.json`` and pictures.
        suffix: empty, or of a finished stage, ``_stage0``, whose pictures are in a
            folder of that name.
        found: what ``eval<suffix>.json`` is going to hold, if it is not there yet.

    Raises:
        ValueError: if one of the JSON files holds something else.
        NotWritten: if the page cannot be written; one from before is left as it is.
    """
    path = folder / f"report{suffix}.html"
    run = _read(folder, suffix, found)
    try:
        page = _page(run)
    except Exception as error:  # of any kind, if the files are of another making
        raise ValueError(
            f"{folder}: must hold what a run writes, got something else: "
            f"{type(error).__name__}: {error}"
        ) from error
    with files.replacing(path) as temporary:
        # JSON may hold halves of surrogate pairs, of which UTF-8 has none.
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return path


def _read(folder: pathlib.Path, suffix: str, found: dict[str, Any] | None) -> Run:
    plots = folder / "plots" / suffix.removeprefix("_")
    return Run(
        config=_json(folder / "config.json", dict),
        environment=_json(folder / "environment.json", list),
        rows=_rows(folder / "metrics.jsonl"),
        found=_json(folder / f"eval{suffix}.json", dict) if found is None else found,
        digests=_json(folder / "data.json", dict),
        pictures={
            name: _head_of(plots / name) for name in TEXTS if (plots / name).is_file()
        },
    )


def _head_of(path: pathlib.Path) -> bytes:
    """A picture, or of one that is too large enough to see that."""
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def _json(path: pathlib.Path, kind: type) -> Any:
    return files.read_json(path, kind) if path.exists() else kind()


def _rows(path: pathlib.Path) -> list[dict[str, Any]]:
    """Its lines, but for what is damaged."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [row for row in map(files.object_of, lines) if row is not None]


def _page(run: Run) -> str:
    title, subtitle = _titles(run)
    contents = {name: section(run) for name, section in ALL.items()}
    shown = {name: content for name, content in contents.items() if content}
    links = [element("a", name, href=f"#{name.lower()}") for name in shown]
    sections = [
        element("section", element("h2", name), content, id=name.lower())
        for name, content in shown.items()
    ]
    top = [element("h1", title), *(element("p", line) for line in subtitle)]
    nav = [element("nav", *links, **{"aria-label": "Sections"})] if links else []
    end = "Numbers are rounded here; the JSON files of the run have all digits."
    body = [
        element("header", *top, _facts(run), *nav),
        element("main", *sections),
        element("footer", element("p", end)),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'  # or a browser asks its server for one
        f"{element('title', title)}\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{joined(body)}\n</body>\n</html>\n"
    )


def _titles(run: Run) -> tuple[str, list[str]]:
    """The name of the run; which model on which data, and which state of it."""
    config, found = run.config, run.found
    names = [config.get(part, {}).get("name") for part in ("model", "data")]
    names = [text(name) for name in names if name is not None]
    lines = [" on ".join(names)] if names else []
    shape = found.get("data", {}).get("image_shape", [])
    if shape and lines:
        lines[0] += ", " + "x".join(map(str, shape))
    if found:
        of = f"{found.get('split')} images, {found.get('checkpoint')} checkpoint"
        of += f", step {found.get('step')}, epoch {found.get('epoch')}"
        seen = found.get("resolution", [])
        if seen and seen != shape[:2]:
            of += f", resolution {'x'.join(map(str, seen))}"
        lines.append(of[0].upper() + of[1:])
    return text(config.get("exp_name", "A run")), lines


def _facts(run: Run) -> Html:
    """The main numbers."""
    numbers, samples = run.found.get("numbers", {}), run.found.get("samples", {})
    facts = [
        (name, measured(numbers[key]), text(numbers[key].get("unit", "")))
        for key, name in MAIN.items()
        if key in numbers
    ]
    floor = samples.get("floor", {})
    for name, found in samples.items():
        if name in ("protocol", "floor", "reconstruction"):
            continue
        for key in (key for key in floor if key in found):
            lowest = f"floor {measured(floor[key])}"
            facts.append(
                (joined([code(key), f", {name}"]), measured(found[key]), lowest)
            )
    items = [
        element(
            "div", element("dt", name), element("dd", value, element("small", unit))
        )
        for name, value, unit in facts
    ]
    return element("dl", *items) if items else Html()
