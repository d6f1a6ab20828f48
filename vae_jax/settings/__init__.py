"""What a config may hold, and which of its fields may change when a run is resumed.

Neither JAX nor anything else that is slow to import is needed here, so that a mistake
on the command line is answered at once.
"""

import difflib
import json
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from vae_jax.settings.effect import without_effect
from vae_jax.settings.fields import MAY_CHANGE, RULES

__all__ = [
    "MAY_CHANGE",
    "RULES",
    "check",
    "check_field",
    "conflicts",
    "flat_of_run",
    "flatten",
    "plain",
    "without_effect",
]

RESIZED = ("folder", "shapes", "tfds:")  # data sets that can be had in any size


def check(config: Any) -> None:
    """Accepts a config whose every value, and every combination, makes sense.

    Raises:
        ValueError: otherwise, naming the field, its value and what is allowed.
    """
    if not isinstance(config, ConfigDict):
        raise ValueError(f"get_config(): must return a ConfigDict, got {config!r}")
    values = dict(flatten(config))
    for field in RULES:
        if field not in values:
            raise ValueError(f"{field}: must be in the config; start from configs/base")
    for field, value in values.items():
        check_field(field)
        rule = RULES[field]
        if not rule.allows(value):
            raise ValueError(f"{field}: must be {rule.text}, got {value!r}")
    for field in ("image_size", "channels"):
        value = config.data[field]
        if value and not config.data.name.startswith(RESIZED):
            raise ValueError(
                f"data.{field}: must be {value * 0!r}, as they are, for "
                f"data.name={config.data.name}, got {value!r}"
            )
    if config.data.binarize != "none" and config.data.scale != "unit":
        raise ValueError(
            "data.scale: must be unit when data.binarize makes pixels 0 or 1, "
            f"got {config.data.scale!r}"
        )


def check_field(field: str) -> None:
    """Accepts the dotted name of a field.

    Raises:
        ValueError: if there is no such field, with the nearest one that there is.
    """
    if any(known.startswith(f"{field}.") for known in RULES):
        raise ValueError(f"{field}: is a section; change one of its fields")
    if field not in RULES:
        near = difflib.get_close_matches(field, RULES, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else "; see configs/base.py"
        raise ValueError(f"{field}: no such field{hint}")


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Pairs of dotted field name and value."""
    for key, value in tree.items():
        if hasattr(value, "items"):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def plain(config: ConfigDict) -> dict[str, Any]:
    """The config as its JSON is read: of dicts and lists."""
    return json.loads(config.to_json())


def flat_of_run(stored: Any) -> dict[str, Any]:
    """The fields of a run's ``config.json``, under the names that they have now."""
    fields = dict(flatten(stored))
    if "model.gated" in fields:
        gated = fields.pop("model.gated")
        fields["model.activation"] = "gated" if gated else "relu"
    return fields


def conflicts(stored: dict[str, Any], config: dict[str, Any]) -> str:
    """In which fields a run's own config and the one now asked for conflict, as text.

    Both are plain dicts as read from JSON, where a tuple is a list.
    """
    old, new = flat_of_run(stored), dict(flatten(config))
    allowed = set(MAY_CHANGE)
    if new["optim.schedule"] == "cosine":
        allowed.remove("train.epochs")  # the schedule's past would change with its end
    return "; ".join(
        f"{field} is {old[field]!r} there, {new[field]!r} here"
        for field in sorted(new.keys() & old.keys() - allowed)
        if old[field] != new[field]
    )
