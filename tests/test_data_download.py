"""Downloads, against a real server on the loopback."""

import gzip
import http.server
import io
import logging
import re
import socket
import threading
import time
import urllib.request

import pytest

from vae_jax.data import download
from vae_jax.data.dataset import Unavailable

LIMITS = download.Limits(
    max_bytes=1000,
    connect_seconds=3.0,
    stall_seconds=1.0,
    total_seconds=30.0,
    pause_seconds=0.0,
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

    def page(self):
        self.answer(b"<!DOCTYPE html><title>Not here</title>")

    def says_less(self):
        self.answer(BODY, length=4)

    def says_nonsense(self):
        self.answer(BODY, length="many")

    def packed(self):
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(gzip.compress(BODY))

    def error(self):
        self.send_error(500)

    def busy(self):
        self.send_error(429)

    def busy_once(self):
        later = self.server.requests.count(self.path) > 1
        self.good() if later else self.send_error(503)

    def cut_off_once(self):
        later = self.server.requests.count(self.path) > 1
        self.good() if later else self.cut_off()

    def redirect(self, target):
        self.send_response(302)
        self.send_header("Location", target)
        self.end_headers()

    def loop(self):
        self.redirect(self.path)

    def to_file(self):
        self.redirect("file:///etc/hostname")

    def to_ftp(self):
        self.redirect("ftp://127.0.0.1/a")

    def to_other_host(self):
        self.redirect(f"http://localhost:{self.server.server_port}/good/a")

    def slow_head(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self.trickle()

    def slow_size(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.trickle()

    def trickle(self):
        while not self.server.closing.wait(0.1):
            self.wfile.write(b"0")

    def moved(self):
        self.redirect(self.path.replace("moved", "good"))

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


@pytest.mark.parametrize("behaviour", ["good", "moved", "to_other_host"])
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
    "page": "must be a, got something else",
    "says_less": "must be a, got something else",
    "says_nonsense": "cut off after 14 of many bytes",
    "packed": "must be a, got something else",
    "error": "HTTP Error 500: Internal Server Error",
    "busy": "HTTP Error 429: Too Many Requests",
    "to_ftp": "must not lead from http to ftp://127.0.0.1/a",
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
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("behaviour", "said"), [("loop", "infinite loop"), ("to_file", "is not allowed")]
)
def test_a_redirect_that_leads_nowhere_good_is_not_followed(fetch, behaviour, said):
    with pytest.raises(Unavailable, match=said):
        fetch(behaviour)


def test_a_redirect_from_https_to_http_is_refused():
    handler, answer = download._Redirects(), io.BytesIO()
    request = urllib.request.Request("https://a.example/x")
    targets = "https://b.example/x", "http://b.example/x"
    assert handler.redirect_request(request, answer, 302, "", {}, targets[0])
    with pytest.raises(
        ValueError, match=r"must not lead from https to http://b\.example"
    ):
        handler.redirect_request(request, answer, 302, "", {}, targets[1])
    assert answer.closed


@pytest.mark.parametrize("behaviour", ["busy_once", "cut_off_once"])
def test_trouble_that_passes_is_met_with_another_round(fetch, tmp_path, behaviour):
    assert fetch(behaviour, "absent").endswith(f"/{behaviour}/")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("behaviour", "count"),
    [("busy", 2), ("error", 2), ("cut_off", 2), ("absent", 1), ("wrong", 1)],
)
def test_only_trouble_that_may_pass_is_asked_again_and_once(
    fetch, server, tmp_path, behaviour, count
):
    with pytest.raises(Unavailable) as caught:
        fetch(behaviour)
    assert len(server.requests) == count
    assert len(str(caught.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_not_replaced(fetch, server, tmp_path):
    (tmp_path / "a").write_bytes(b"mine")
    fetch("good", names=("a", "b"))
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert server.requests == ["/good/b"]


def test_every_mirror_s_failure_is_in_the_error(fetch, tmp_path):
    with pytest.raises(Unavailable) as caught:
        fetch("absent", "cut_off", names=("b", "a"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "/absent/b: HTTP Error 404" in lines[0]
    assert "/cut_off/b: cut off" in lines[1]
    assert not list(tmp_path.iterdir())


def test_a_mirror_is_left_at_its_first_failure_and_whole_files_are_kept(fetch, server):
    assert fetch("half_absent", "good", names=("a", "b", "c")).endswith("/good/")
    expected = ["/half_absent/a", "/half_absent/b", "/good/b", "/good/c"]
    assert server.requests == expected


@pytest.mark.parametrize("behaviour", ["trickles", "slow_head", "slow_size"])
def test_a_file_that_only_trickles_is_given_up_in_time(fetch, tmp_path, behaviour):
    start = time.monotonic()
    with pytest.raises(Unavailable, match=rf"{behaviour}/a: not done in 0\.3 s"):
        fetch(behaviour, limits=LIMITS._replace(total_seconds=0.3))
    assert time.monotonic() - start < 4
    assert not list(tmp_path.iterdir())


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
