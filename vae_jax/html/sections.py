"""The sections of a report, each empty where the run has nothing to show in it."""

import shlex
from typing import Any, NamedTuple

from vae_jax import settings
from vae_jax.html.elements import (
    Html,
    code,
    element,
    is_number,
    joined,
    measured,
    number,
    pairs,
    table,
    text,
)
from vae_jax.html.pictures import shown


class Run(NamedTuple):
    """What the files of a run directory hold; empty where there is no such file."""

    config: dict[str, Any]
    environment: list[Any]
    rows: list[dict[str, Any]]  # of metrics.jsonl
    found: dict[str, Any]  # eval.json
    digests: dict[str, Any]  # data.json
    pictures: dict[str, bytes]  # by the name of the file


USUAL = {"value", "standard_error", "n", "n_real", "n_fake", "unit", "how"}


def _more(found: dict[str, Any]) -> str:
    """How a number was got, and what it has beside the usual."""
    more = [f"{k} {number(v)}" for k, v in found.items() if k not in USUAL]
    return "; ".join([text(found.get("how", "")), *more])


def numbers(run: Run) -> Html:
    rows = [
        (
            code(name),
            measured(found),
            text(found.get("unit", "")),
            text(found["n"]) if "n" in found else "",
            _more(found),
        )
        for name, found in run.found.get("numbers", {}).items()
    ]
    if not rows:
        return Html()
    head = "number", "value ± standard error", "unit", "n", "how"
    parts = [table("Numbers", head, rows, numeric=(1, 3))]
    if "bound_kind" in run.found:
        kind = code(text(run.found["bound_kind"]))
        how = run.found["numbers"].get("elbo", {}).get("how", "")
        said = f"{how[:1].upper()}{how[1:]}." if how else ""
        parts.insert(0, element("p", "Kind of bound: ", kind, f". {said}"))
    return joined(parts)


def samples(run: Run) -> Html:
    """The sets of images side by side, as all are compared with the same real ones."""
    sets = dict(run.found.get("samples", {}))
    protocol = dict(sets.pop("protocol", {}))
    if not sets:
        return Html()
    warning = protocol.pop("warning", None)
    parts = [element("p", text(warning), class_="warning")] if warning else []
    names = dict.fromkeys(name for of in sets.values() for name in of)
    rows = []
    for name in names:
        of_all = [of.get(name) for of in sets.values()]
        first = next(of for of in of_all if of)
        details = first.get("how", "").partition("; ")[2]
        cells = [measured(of) if of else "" for of in of_all]
        unit = text(first.get("unit", ""))
        rows.append((code(name), *cells, unit, details))
    head = ["measure", *map(_head_of_set, sets, sets.values()), "unit", "how"]
    numeric = range(1, len(sets) + 1)
    parts.append(table("Quality of samples", head, rows, numeric))
    parts.append(element("h3", "Protocol"))
    of_protocol = [(code(k), text(v)) for k, v in protocol.items()]
    return joined([*parts, pairs("Protocol", of_protocol)])


def _head_of_set(name: str, of: dict[str, Any]) -> Html:
    """Its name, and what it is, which the first of its numbers says."""
    first = next(iter(of.values()), {})
    what = [first.get("how", "").partition("; ")[0]]
    if "n_fake" in first and "n_real" in first:
        what.append(f"{first['n_fake']} against {first['n_real']}")
    return joined([name, element("small", "; ".join(filter(None, what)))])


def images(run: Run) -> Html:
    return shown(
        run.pictures,
        "reconstructions.png",
        "samples.png",
        "samples_coarse.png",
        "samples_finest.png",
        "residuals.png",
        "interpolations.png",
        "manifold.png",
    )


def latents(run: Run) -> Html:
    rows, kl = [], run.found.get("kl_per_dimension", {})
    for k, group in enumerate(kl.get("groups", [])):
        finite = [value for value in group if is_number(value)]
        total = f"{sum(finite):.2f}"
        if len(finite) < len(group):
            total += f", {len(group) - len(finite)} not finite"
        values = ", ".join(f"{v:.3f}" if is_number(v) else number(v) for v in group)
        how = text(kl["how"][k]) if "how" in kl else ""
        rows.append((f"group {k}", str(len(group)), total, how, values))
    each = "nats of each latent, in their order"
    head = "group", "latents", "nats in total", "how", each
    parts = [shown(run.pictures, "kl_per_dimension.png", "latent_space.png")]
    parts += [table("KL per dimension", head, rows, numeric=(1, 2))] if rows else []
    return joined(parts)


def training(run: Run) -> Html:
    """The curves, and where every stage ended."""
    last = {(row.get("stage"), row.get("split")): row for row in run.rows}
    parts = [shown(run.pictures, name) for name in ("curves.png", "growth.gif")]
    if last:
        columns = list(dict.fromkeys(key for row in last.values() for key in row))
        rows = [
            [number(row[key]) if key in row else "" for key in columns]
            for row in last.values()
        ]
        numeric = range(1, len(columns))
        said = "The last epoch of each stage; all are in "
        parts.append(element("p", said, code("metrics.jsonl"), "."))
        parts.append(table("Last epochs", columns, rows, numeric))
    return joined(parts)


def data(run: Run) -> Html:
    about = dict(run.found.get("data", {}))
    parts = [p for p in ("train", "valid", "test") if {p} & {*about, *run.digests}]
    rows = [
        (p, text(about.pop(p, "")), code(text(run.digests.get(p, "")))) for p in parts
    ]
    found = [(code(k), text(v)) for k, v in about.items()]
    head = "split", "images", "sha256"
    return joined(
        ([pairs("Data", found)] if found else [])
        + ([table("Splits", head, rows, numeric=(1,))] if rows else [])
    )


def config(run: Run) -> Html:
    """Every field, in one table for each section."""
    groups = {}
    # An evaluation may have had other settings than the run began with.
    evaluated = {"eval": run.found.get("settings", {})}
    current = dict(settings.flatten(run.config)) | dict(settings.flatten(evaluated))
    for field, value in current.items():
        row = code(field), text(value) or '""'
        groups.setdefault(field.rpartition(".")[0], []).append(row)
    tables = [pairs(f"Config {name}".strip(), rows) for name, rows in groups.items()]
    return element("div", *tables, class_="columns") if tables else Html()


def environment(run: Run) -> Html:
    """One entry for each process, the last of them open."""
    entries, num = [], len(run.environment)
    for i, process in enumerate(run.environment, start=1):
        title = f"Process {i} of {num}"
        began = f", started {text(process['started'])}" if "started" in process else ""
        rows = [_of_process(key, value) for key, value in process.items()]
        look = {"open": ""} if i == num else {}
        head = element("summary", title + began)
        entries.append(element("details", head, pairs(title, rows), **look))
    return joined(entries)


def _of_process(key: str, value: Any) -> tuple[str, str]:
    if value is None:
        return code(key), "unknown"
    if key == "command" and isinstance(value, list):
        return code(key), code(shlex.join(map(str, value)))
    if isinstance(value, dict):
        value = [f"{name} {text(of)}" for name, of in value.items()]
    return code(key), text(value)


ALL = {
    "Numbers": numbers,
    "Samples": samples,
    "Images": images,
    "Latents": latents,
    "Training": training,
    "Data": data,
    "Config": config,
    "Environment": environment,
}
