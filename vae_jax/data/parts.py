"""What the parts of the user's own data are called, and what is nearly called so."""

import logging
from collections.abc import Iterable, Sequence

log = logging.getLogger("vae_jax")

PARTS = ("train", "valid", "test")
LABELS = "_labels"  # after a part's name
# In lower case: what people call the parts.
MEANT = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
    "eval": "test",
}
MOST = 10  # names in a line of the log


def check_names(where: str, names: Iterable[str], labels: str = "") -> None:
    """Refuses names that are nearly a part's: they would be trained on or left out.

    They must be the names that the file system lists. One that is asked for is found in
    other cases too on some of them.

    Args:
        where: the names are, for the message.
        names: of all that could be a part.
        labels: what the names of the parts' labels end with, if they are among them.

    Raises:
        ValueError: at the first that is no part's, but like one.
    """
    for name in names:
        stem = name.casefold().removesuffix(labels)
        part = MEANT.get(stem)
        if part is None:
            continue
        wanted = part if stem == name.casefold() else part + labels
        if name != wanted:
            raise ValueError(
                f"{where}: what looks like the part {part} must be called {wanted}, "
                f"got {name}; if it is no part, it needs another name"
            )


def say_left_out(kind: str, where: str, names: Sequence[str]) -> None:
    """Says what is used for nothing, as the user may have meant it to be."""
    if names:
        shown = ", ".join(map(repr, names[:MOST]))
        more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
        log.warning("%s: left out of %s: %s%s", kind, where, shown, more)
