"""What a person sees while a model trains."""

import io
import math
import time

import pytest

from vae_jax import progress

TERMS = {"loss": 101.234, "recon": 80.0, "kl": 21.234, "grad_norm": 5.0}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_with_rate_terms_and_time_left(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    with progress.shown(1000, 100) as show:
        time.sleep(0.15)  # tqdm draws at most every 0.1 s
        show(600, "epoch 1/2", TERMS)
    text = terminal.getvalue()
    for part in ("epoch 1/2", "loss=101.23", "kl=21.23", "images/s", "600/1.00k"):
        assert part in text, text
    assert "grad_norm" not in text


def test_without_a_terminal_there_are_lines_now_and_then(monkeypatch):
    now, lines = [0.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress.sys, "stderr", io.StringIO())
    monkeypatch.setattr(progress.LOGGER, "info", lambda t, *a: lines.append(t % a))
    with progress.shown(1000, 200) as show:
        for second, done in ((5, 210), (16, 216), (20, 500), (40, 600), (56, 601)):
            now[0] = second
            show(done, "epoch 1/2", TERMS)
    terms = "loss 101.23  recon 80.00  kl 21.23"
    assert lines == [
        # 16 images in 16 s, 784 to go; then 384 in 24 s, 400 to go; then 1 in 16 s.
        f"epoch 1/2  22%  1 images/s  {terms}  13m04s left at this rate",
        f"epoch 1/2  60%  16 images/s  {terms}  25s left at this rate",
        f"epoch 1/2  60%  0.062 images/s  {terms}  1h46m left at this rate",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"),
        (4.23, "4.2s"),
        (42.4, "42s"),
        (185.0, "3m05s"),
        (7800.0, "2h10m"),
    ],
)
def test_durations_read_as_a_person_says_them(seconds, text):
    assert progress.duration(seconds) == text


def test_an_epoch_is_one_line_that_tells_of_skipped_steps():
    row = {"elbo": -101.234, "recon": 80.0, "kl": 21.234}
    times = {"images_per_second": 12345.6, "seconds": 4.0, "bad_steps": 3}
    times["last_bad_step"] = 17
    rows = [{"split": "train", **row, **times}, {"split": "valid", **row}]
    line = progress.epoch_line("epoch 1/2", rows)
    assert "train  elbo -101.23  recon 80.00  kl 21.23 |" in line
    assert "valid  elbo -101.23" in line
    assert "12,346 images/s, 4.0s" in line
    times["images_per_second"] = math.nan  # nothing of it was timed
    line = progress.epoch_line("epoch 1/2", [rows[0] | times])
    assert "images/s" not in line
    assert "3 steps skipped so far: not finite; the last: 17" in line
