"""What is said while images are counted."""

import io
import logging
import sys

from vae_jax.data import counting


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_all_items_come_in_their_order(monkeypatch):
    for stderr in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", stderr)
        assert list(counting.counted("set", iter("abc"), 3)) == ["a", "b", "c"]


def test_a_terminal_has_a_bar(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with caplog.at_level(logging.INFO, "vae_jax"):
        list(counting.counted("set", range(3), 3))
    assert "set:" in sys.stderr.getvalue()
    assert "0/3" in sys.stderr.getvalue()
    assert not caplog.messages


def test_elsewhere_there_is_a_line_now_and_then(monkeypatch, caplog):
    seconds = iter([0.0, 14.0, 15.0, 16.0, 31.0])
    monkeypatch.setattr(counting.time, "monotonic", lambda: next(seconds))
    with caplog.at_level(logging.INFO, "vae_jax"):
        list(counting.counted("set", range(4), 9))
    assert caplog.messages == ["set: 2 of 9 images", "set: 4 of 9 images"]
