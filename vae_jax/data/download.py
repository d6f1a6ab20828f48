"""Files from the web: from the first mirror that has them, checked, never hanging."""

import http.client
import logging
import pathlib
import socket
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from vae_jax.data.dataset import Unavailable

log = logging.getLogger("vae_jax")

CHUNK = 1 << 16
PORTS = {"http": 80, "https": 443}


class Limits(NamedTuple):
    """How long to wait and how much to take."""

    max_bytes: int  # of one file
    connect_seconds: float = 3.0  # to look up and reach all mirrors, at once
    stall_seconds: float = 5.0  # without a byte
    total_seconds: float = 300.0  # for one file


def fetch(
    mirrors: Sequence[str],
    names: Sequence[str],
    folder: pathlib.Path,
    check: Callable[[pathlib.Path, str], None],
    limits: Limits,
) -> str:
    """Downloads ``names`` into ``folder`` and returns the mirror that completed them.

    A mirror is left at its first failure; files that already passed are kept. A file
    gets its own name only once it is whole and checked.

    Args:
        mirrors: addresses that end in a slash, best first.
        names: file names, to be appended to a mirror's address.
        folder: existing folder of the caller's own.
        check: called with a path and a name; raises ValueError if the file at that path
            is not the one of that name.
        limits: of time and size.

    Raises:
        Unavailable: if no mirror has them; says what each one answered.
    """
    failures = []
    unreachable = probe(mirrors, limits.connect_seconds)
    for mirror in mirrors:
        if mirror in unreachable:
            failures.append(f"download: {mirror}: {unreachable[mirror]}")
            continue
        log.info("downloading from %s", mirror)
        failure = _fetch_missing(mirror, names, folder, check, limits)
        if failure is None:
            return mirror
        log.info("%s", failure)
        failures.append(f"download: {failure}")
    raise Unavailable("\n".join(failures))


def _fetch_missing(
    mirror: str,
    names: Iterable[str],
    folder: pathlib.Path,
    check: Callable[[pathlib.Path, str], None],
    limits: Limits,
) -> str | None:
    """The failure that made this mirror useless, or None."""
    for name in names:
        if (folder / name).exists():
            continue
        part = folder / f"{name}.part"
        try:
            _fetch_one(mirror + name, part, limits)
            check(part, name)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # The reader names the temporary file, which means nothing to anyone.
            said = str(error).removeprefix(f"{part}: ").strip() or type(error).__name__
            return f"{mirror}{name}: {said}"
        part.replace(folder / name)
    return None


def _fetch_one(url: str, path: pathlib.Path, limits: Limits) -> None:
    deadline = time.monotonic() + limits.total_seconds
    request = urllib.request.Request(url, headers={"User-Agent": "vae_jax"})
    size = 0
    opened = urllib.request.urlopen(request, timeout=limits.stall_seconds)
    with opened as response, path.open("wb") as file:
        # One read1 is one wait for the socket, so the deadline is looked at in time.
        while chunk := response.read1(CHUNK):
            size += len(chunk)
            file.write(chunk)
            if size > limits.max_bytes:
                raise ValueError(f"must have at most {limits.max_bytes} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not done in {limits.total_seconds:g} s")
        promised = response.headers.get("Content-Length")
    if promised is not None and size != int(promised):
        raise ValueError(f"cut off after {size} of {promised} bytes")


def probe(urls: Sequence[str], seconds: float) -> dict[str, str]:
    """Why each unreachable one of ``urls`` is so; takes ``seconds`` at most.

    A name look-up has no time limit that could be set, so each runs in a thread that is
    left behind when its time is over.
    """
    reasons = {url: f"no answer in {seconds:g} s" for url in urls}

    def connect(url: str) -> None:
        try:
            socket.create_connection(_endpoint(url), timeout=seconds).close()
            del reasons[url]
        except OSError as error:
            reasons[url] = str(error)

    threads = [threading.Thread(target=connect, args=(u,), daemon=True) for u in urls]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(reasons)


def _endpoint(url: str) -> tuple[str, int]:
    """The host and port that a request for ``url`` connects to: a proxy's if set."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.netloc):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or PORTS.get(parts.scheme, 80)
