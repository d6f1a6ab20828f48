"""What the program says, on the console and in the run directory."""

import contextlib
import sys

import pytest

from vae_jax import files, logs


def test_the_log_holds_what_was_shown_before_the_folder_was_known(tmp_path, capsys):
    handlers = list(logs.LOGGER.handlers)
    with logs.shown() as log:
        logs.LOGGER.info("before")
        logs.write_to(log, tmp_path)
        logs.LOGGER.info("after")
    shown = capsys.readouterr().out.split()
    lines = (tmp_path / "train.log").read_text().splitlines()
    written = [line.split()[-1] for line in lines]
    assert shown == written == ["before", "after"]
    assert logs.LOGGER.handlers == handlers


def test_a_log_that_cannot_be_written_any_more_ends_without_a_word(tmp_path, capsys):
    with logs.shown() as log:
        logs.write_to(log, tmp_path)
        logs.LOGGER.info("before")
        with open("/dev/full", "w") as full:  # every write fails: the disk is full
            log.target.setStream(full).close()
            logs.LOGGER.info("after")
            log.target.close()
    shown = capsys.readouterr()
    assert shown.out.split() == ["before", "after"]
    assert shown.err == ""


def test_a_console_on_a_full_disk_stops_nothing(tmp_path, monkeypatch, capsys):
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stdout", full)
        with logs.shown() as log:
            logs.write_to(log, tmp_path)
            logs.LOGGER.info("said")
        with contextlib.suppress(OSError):
            full.close()
    assert (tmp_path / "train.log").read_text().endswith(" said\n")
    assert capsys.readouterr().err == ""


def test_a_log_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "train.log").mkdir()
    with logs.shown() as log, pytest.raises(files.NotWritten) as caught:
        logs.write_to(log, tmp_path)
    path = tmp_path / "train.log"
    assert str(caught.value) == f"{path}: cannot be written: Is a directory"
