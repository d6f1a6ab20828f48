"""Downloads, against a real server on the loopback."""

import http.server
import logging
import re
import socket
import threading
import time

import pytest

from vae_jax.data import download
from vae_jax.data.dataset import Unavailable

LIMITS = download.Limits(
    max_bytes=1000, connect_seconds=3.0, stall_seconds=1.0, total_seconds=30.0
)
BODY = b"the whole file"


class Handler(http.server.BaseHTTPRequestHandler):
    """The first part of the path says how to behave."""

    def do_GET(self):
        self.server.requests.append(self.path)
        getattr(self, self.path.split("/")[1])()

    def answer(self, body, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def good(self):
        self.answer(BODY)

    def absent(self):
        self.send_error(404)

    def half_absent(self):
        self.send_error(404) if self.path.endswith("b") else self.good()

    def wrong(self):
        self.answer(b"another file")

    def cut_off(self):
        self.answer(BODY[:4], length=len(BODY))

    def oversized(self):
        self.answer(bytes(2000))

    def endless(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bytes(2000))

    def moved(self):
        self.send_response(302)
        self.send_header("Location", self.path.replace("moved", "good"))
        self.end_headers()

    def silent(self):
        self.server.closing.wait()

    def stalls(self):
        self.answer(BODY[:4], length=len(BODY))
        self.server.closing.wait()

    def trickles(self):
        self.send_response(200)
        self.end_headers()
        while not self.server.closing.wait(0.1):
            self.wfile.write(b".")

    def garbage(self):
        self.wfile.write(b"220 smtp.example\r\n")

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.requests, server.closing = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    # Quick to poll: shutdown waits for one.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


def check(path, name):
    if path.read_bytes() != BODY:
        raise ValueError(f"{path}: must be {name}, got something else")


@pytest.fixture
def fetch(server, tmp_path):
    """Fetches from the server's mirrors of these names."""

    def call(*behaviours, names=("a",), limits=LIMITS):
        mirrors = [f"{server.url}/{b}/" for b in behaviours]
        return download.fetch(mirrors, names, tmp_path, check, limits)

    return call


@pytest.mark.parametrize("behaviour", ["good", "moved"])
def test_all_files_come_from_the_first_mirror_that_has_them(
    fetch, server, tmp_path, behaviour
):
    mirror = fetch(behaviour, "wrong", names=("a", "b"))
    assert mirror == f"{server.url}/{behaviour}/"
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
        "a": BODY,
        "b": BODY,
    }
    assert not any("wrong" in path for path in server.requests)


FAILURES = {
    "absent": "HTTP Error 404: Not Found",
    "wrong": "must be a, got something else",
    "cut_off": "cut off after 4 of 14 bytes",
    "oversized": "must have at most 1000 bytes",
    "endless": "must have at most 1000 bytes",
    "silent": "timed out",
    "stalls": "timed out",
    "garbage": "220 smtp.example",
}


@pytest.mark.parametrize(("behaviour", "said"), FAILURES.items())
def test_a_mirror_that_fails_is_said_and_followed_by_the_next(
    fetch, server, tmp_path, caplog, behaviour, said
):
    start = time.monotonic()
    with caplog.at_level(logging.INFO, "vae_jax"):
        assert fetch(behaviour, "good") == f"{server.url}/good/"
    assert time.monotonic() - start < 4
    failure = caplog.messages[1]
    assert failure.startswith(f"{server.url}/{behaviour}/a: ")
    assert failure.endswith(f": {said}")
    assert (tmp_path / "a").read_bytes() == BODY


def test_every_mirror_s_failure_is_in_the_error(fetch, tmp_path):
    with pytest.raises(Unavailable) as caught:
        fetch("absent", "cut_off", names=("b", "a"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "/absent/b: HTTP Error 404" in lines[0]
    assert "/cut_off/b: cut off" in lines[1]
    assert not [p for p in tmp_path.iterdir() if p.suffix != ".part"]


def test_a_mirror_is_left_at_its_first_failure_and_whole_files_are_kept(fetch, server):
    assert fetch("half_absent", "good", names=("a", "b", "c")).endswith("/good/")
    expected = ["/half_absent/a", "/half_absent/b", "/good/b", "/good/c"]
    assert server.requests == expected


def test_a_file_that_only_trickles_is_given_up_in_time(fetch):
    start = time.monotonic()
    with pytest.raises(Unavailable, match=r"trickles/a: not done in 0\.5 s"):
        fetch("trickles", limits=LIMITS._replace(total_seconds=0.5))
    assert time.monotonic() - start < 4


def test_a_port_that_refuses_is_an_attempt_like_any_other(server, fetch, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(Unavailable, match=f"^download: {dead}: .*refused"):
            download.fetch([dead], ["a"], tmp_path, check, LIMITS)
        mirrors = [dead, f"{server.url}/good/"]
        assert download.fetch(mirrors, ["a"], tmp_path, check, LIMITS) == mirrors[1]


def test_name_lookups_that_hang_take_the_time_of_one(monkeypatch, tmp_path):
    over = threading.Event()

    def hang(*args, **kwargs):
        over.wait(10)
        raise OSError("too late")

    monkeypatch.setattr(socket, "create_connection", hang)
    limits = LIMITS._replace(connect_seconds=0.2)
    mirrors = [f"https://mirror{i}.example/" for i in range(8)]
    start = time.monotonic()
    with pytest.raises(Unavailable, match=re.escape("no answer in 0.2 s")):
        download.fetch(mirrors, ["a"], tmp_path, check, limits)
    assert time.monotonic() - start < 1.2  # one after the other they would take 1.6
    over.set()


@pytest.mark.parametrize(
    ("url", "proxy", "endpoint"),
    [
        ("https://a.example/x/", "", ("a.example", 443)),
        ("http://a.example/x/", "", ("a.example", 80)),
        ("http://a.example:81/x/", "", ("a.example", 81)),
        ("https://a.example/x/", "http://proxy.example:3128", ("proxy.example", 3128)),
        ("https://a.example/x/", "proxy.example:3128", ("proxy.example", 3128)),
        ("https://in.example/x/", "http://proxy.example:3128", ("in.example", 443)),
    ],
)
def test_the_probe_asks_the_proxy_where_one_is_set(monkeypatch, url, proxy, endpoint):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "in.example")
    if proxy:
        monkeypatch.setenv("https_proxy", proxy)
    assert download._endpoint(url) == endpoint
