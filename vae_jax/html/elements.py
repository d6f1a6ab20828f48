"""Pieces of a page. Text becomes markup only here, and is escaped where it does."""

import html
import json
import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any


class Html(str):
    """Markup. Whatever is not of this type is text."""


def joined(parts: Iterable[str]) -> Html:
    """One piece after the other, those that are text escaped."""
    return Html(
        "".join(p if isinstance(p, Html) else html.escape(str(p)) for p in parts)
    )


def element(name: str, *content: str, **attributes: str) -> Html:
    """An element with an end tag. Of ``class_``, the last character is left out."""
    given = "".join(
        f' {key.rstrip("_")}="{html.escape(value)}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{given}>{joined(content)}</{name}>")


def table(
    title: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    numeric: Collection[int] = (),
) -> Html:
    """A table in a box of its own, in which it can be scrolled.

    Args:
        title: what a screen reader calls the box.
        head: a name for each column.
        rows: the name of the row, and its cells.
        numeric: which columns hold numbers, and are aligned to the right.
    """
    looks = [{"class_": "number"} if i in numeric else {} for i in range(len(head))]
    top = [
        element("th", cell, scope="col", **look)
        for cell, look in zip(head, looks, strict=True)
    ]
    body = []
    for first, *others in rows:
        cells = [
            element("td", cell, **look)
            for cell, look in zip(others, looks[1:], strict=True)
        ]
        body.append(element("tr", element("th", first, scope="row"), *cells))
    whole = element(
        "table", element("thead", element("tr", *top)), element("tbody", *body)
    )
    box = {"role": "region", "aria-label": title}  # to be scrolled by keyboard too
    return element("div", whole, class_="box", tabindex="0", **box)


def pairs(title: str, rows: Iterable[tuple[str, str]]) -> Html:
    """A table of names and their values."""
    return table(title, ("name", "value"), rows)


def code(content: str) -> Html:
    return element("code", content)


def text(value: Any) -> str:
    """A value of a JSON file, the names in a list without quotes."""
    if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def is_number(value: Any) -> bool:
    """Whether it is one, and finite."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and math.isfinite(value)


def number(value: Any) -> str:
    """Five digits of a number; JSON has null for those that are not finite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "not finite"
    return f"{value:.5g}" if isinstance(value, float) else text(value)


def measured(found: dict[str, Any]) -> str:
    """A value and its standard error, both to two digits of the error."""
    value = found.get("value")
    error = found.get("standard_error")
    if error is None:  # of one image there is none, nor where the value is not finite
        return number(value)
    # Beyond this, a fixed number of decimals would be a row of zeros.
    fixed = is_number(value) and is_number(error) and 1e-8 < error < 1e8
    if not fixed or abs(value) > 1e12:
        return f"{number(value)} ± {number(error)}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"
