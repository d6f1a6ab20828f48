"""Files from the web: from the first mirror that has them, checked, never hanging."""

import http.client
import io
import logging
import pathlib
import queue
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from vae_jax.data.dataset import Unavailable

log = logging.getLogger("vae_jax")

CHUNK = 1 << 16
PORTS = {"http": 80, "https": 443}
BUSY = (408, 425, 429)  # and all from 500: answers that another time may be better


class Limits(NamedTuple):
    """How long to wait and how much to take."""

    max_bytes: int  # of one file
    connect_seconds: float = 3.0  # to look up and reach all mirrors, at once
    stall_seconds: float = 5.0  # without a byte
    total_seconds: float = 300.0  # for one file
    rounds: int = 2  # of the mirrors; in later ones, of those whose trouble may pass
    pause_seconds: float = 1.0  # before another round


class Failure(NamedTuple):
    """What a mirror answered instead of a file."""

    said: str
    may_pass: bool


def fetch(
    mirrors: Sequence[str],
    names: Sequence[str],
    folder: pathlib.Path,
    check: Callable[[pathlib.Path, str], None],
    limits: Limits,
) -> str:
    """Downloads ``names`` into ``folder`` and returns the mirror that completed them.

    A mirror is left at its first failure; files that already passed are kept. A file
    gets its own name only once it is whole and checked. When all mirrors have failed,
    those that were busy, silent or cut off are asked once more.

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
    unreachable = probe(mirrors, limits.connect_seconds)
    failures = {m: f"{m}: {unreachable[m]}" for m in mirrors if m in unreachable}
    left = [mirror for mirror in mirrors if mirror not in unreachable]
    for attempt in range(limits.rounds):
        if attempt and left:
            time.sleep(limits.pause_seconds)
        again = []
        for mirror in left:
            log.info("downloading from %s", mirror)
            failure = _fetch_missing(mirror, names, folder, check, limits)
            if failure is None:
                return mirror
            log.info("%s", failure.said)
            failures[mirror] = failure.said
            again += [mirror] * failure.may_pass
        left = again
    raise Unavailable("\n".join(f"download: {failures[m]}" for m in mirrors))


def _fetch_missing(
    mirror: str,
    names: Iterable[str],
    folder: pathlib.Path,
    check: Callable[[pathlib.Path, str], None],
    limits: Limits,
) -> Failure | None:
    """The failure that made this mirror useless, or None."""
    for name in names:
        if (folder / name).exists():
            continue
        part = folder / f"{name}.part"
        try:
            _fetch_one(mirror + name, part, limits)
            check(part, name)
            part.replace(folder / name)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # The reader names the temporary file, which means nothing to anyone.
            said = str(error).removeprefix(f"{part}: ").strip() or type(error).__name__
            return Failure(f"{mirror}{name}: {said}", _may_pass(error))
        finally:
            part.unlink(missing_ok=True)
    return None


def _may_pass(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in BUSY or error.code >= 500
    return not isinstance(error, ValueError)  # other files than the one asked for


def _fetch_one(url: str, path: pathlib.Path, limits: Limits) -> None:
    """Writes what is at the address to ``path``.

    In a thread that is left behind when its time is over: of headers that trickle in,
    Python's library waits for the last, however long it takes. Closing the file is what
    ends the thread then.
    """
    outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def work(file) -> None:
        try:
            _copy(url, file, limits)
        except Exception as error:
            outcome.put(error)
        else:
            outcome.put(None)

    with path.open("wb") as file:
        threading.Thread(target=work, args=(file,), daemon=True).start()
        try:
            error = outcome.get(timeout=limits.total_seconds)
        except queue.Empty:
            raise TimeoutError(f"not done in {limits.total_seconds:g} s") from None
    if error is not None:
        raise error


def _copy(url: str, file: io.BufferedIOBase, limits: Limits) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "vae_jax"})
    size = 0
    try:
        opener = urllib.request.build_opener(_Redirects)
        opened = opener.open(request, timeout=limits.stall_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        raise
    with opened as response:
        while chunk := response.read1(CHUNK):
            size += len(chunk)
            if size > limits.max_bytes:
                raise ValueError(f"must have at most {limits.max_bytes} bytes")
            file.write(chunk)
        promised = response.headers.get("Content-Length")
    if promised is not None and promised.strip() != str(size):
        raise ConnectionError(f"cut off after {size} of {promised} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To any host, as what comes is checked; but the web alone, and never to less."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in PORTS or (req.type, scheme) == ("https", "http"):
            fp.close()
            raise ValueError(f"must not lead from {req.type} to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


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
