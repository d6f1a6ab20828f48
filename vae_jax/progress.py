"""How far a long work is: a bar on a terminal, now and then a line elsewhere."""

import contextlib
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

LOGGER = logging.getLogger("vae_jax")
SECONDS_BETWEEN_LINES = 15.0

TERMS = ("loss", "recon", "kl")

# (images done in the run, description, means of the epoch so far)
Show = Callable[[int, str, dict[str, float]], None]


@contextlib.contextmanager
def shown(total_images: int, done_images: int) -> Iterator[Show]:
    """Yields a function that is to be called after every piece of work."""
    if sys.stderr.isatty():
        with _bar(total_images, done_images) as show:
            yield show
    else:
        yield _lines(total_images, done_images)


@contextlib.contextmanager
def _bar(total: int, initial: int) -> Iterator[Show]:
    with (
        tqdm(
            total=total,
            initial=initial,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            leave=False,
        ) as bar,
        logging_redirect_tqdm([LOGGER]),
    ):

        def show(done: int, description: str, terms: dict[str, float]) -> None:
            bar.set_description(description, refresh=False)
            shown = {k: f"{terms[k]:.2f}" for k in TERMS if k in terms}
            bar.set_postfix(shown, refresh=False)
            bar.update(done - bar.n)

        yield show


def _lines(total: int, initial: int) -> Show:
    last, before = time.monotonic(), initial

    def show(done: int, description: str, terms: dict[str, float]) -> None:
        nonlocal last, before
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES:
            return
        # Since the last line: earlier time may include compilation or evaluation.
        rate = (done - before) / (now - last)
        last, before = now, done
        parts = [
            f"{description}  {100 * done / total:2.0f}%",
            f"{rate:.0f} images/s" if rate >= 10 else f"{rate:.2g} images/s",
            *(f"{k} {terms[k]:.2f}" for k in TERMS if k in terms),
            f"{duration((total - done) / rate) if rate else '?'} left at this rate",
        ]
        LOGGER.info("%s", "  ".join(parts))

    return show


def epoch_line(label: str, rows: list[dict[str, Any]]) -> str:
    """One epoch in one line, from its rows of ``metrics.jsonl``."""
    parts = [f"{label}:"]
    for row in rows:
        terms = "  ".join(f"{name} {row[name]:.2f}" for name in ("elbo", "recon", "kl"))
        parts.append(f"{row['split']}  {terms} |")
    rate, seconds = rows[0]["images_per_second"], rows[0]["seconds"]
    if not math.isnan(rate):  # of a first piece, which is not timed
        parts.append(f"{rate:,.0f} images/s, {duration(seconds)}")
    if rows[0]["bad_steps"]:
        count, last = rows[0]["bad_steps"], rows[0]["last_bad_step"]
        parts.append(f"| {count} steps skipped so far: not finite; the last: {last}")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as a person would say them: 4.2s, 42s, 3m05s, 2h10m."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f}s" if seconds < 9.95 else f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
