"""How far a long preparation is: a bar on a terminal, now and then a line elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

log = logging.getLogger("vae_jax")

SECONDS_BETWEEN_LINES = 15.0


def counted(what: str, items: Iterable[Any], total: int) -> Iterator[Any]:
    """The ``items``, one for each of ``total`` images; says how many have come."""
    if sys.stderr.isatty():
        look = {"unit": " images", "dynamic_ncols": True, "leave": False}
        yield from tqdm(items, what, total, **look)
        return
    last = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            log.info("%s: %d of %d images", what, count, total)
