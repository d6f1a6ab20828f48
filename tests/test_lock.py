"""One process at a time in a run directory."""

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from vae_jax import files, lock

HOLD = """
import os, pathlib, signal, sys
from vae_jax import files, lock
with lock.held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    if sys.stdin.readline() == "die\\n":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, which holds the lock until it is told to die or to leave."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        process.end = lambda how: process.communicate(f"{how}\n")
        yield process
        process.kill()


def test_a_folder_in_use_is_refused_with_its_user_s_host_and_process(holder, tmp_path):
    message = (
        f"--workdir: {tmp_path} is in use by process {holder.pid} on "
        f"{socket.gethostname()!r}; wait for it, or stop it"
    )
    for attempt in (lock.check_free, _hold):
        with pytest.raises(ValueError, match=re.escape(message)):
            attempt(tmp_path)


def test_the_lock_of_a_process_that_was_killed_is_void_and_said(
    holder, tmp_path, caplog
):
    holder.end("die")
    assert holder.returncode == -9
    assert (tmp_path / lock.NAME).exists()
    lock.check_free(tmp_path)
    with caplog.at_level("INFO", "vae_jax"):
        _hold(tmp_path)
    who = f"process {holder.pid} on {socket.gethostname()!r}"
    assert f"{who} did not end in order; its lock is void" in caplog.text


def test_nothing_is_left_and_nothing_said_after_a_process_that_ended(
    holder, tmp_path, caplog
):
    holder.end("leave")
    assert holder.returncode == 0
    assert not list(tmp_path.iterdir())
    with caplog.at_level("INFO", "vae_jax"), lock.held(tmp_path):
        signed = json.loads((tmp_path / lock.NAME).read_text())
        assert signed == {"pid": os.getpid(), "host": socket.gethostname()}
    assert not caplog.text
    assert not list(tmp_path.iterdir())


def test_an_error_frees_the_folder(tmp_path):
    with pytest.raises(RuntimeError, match="mine"), lock.held(tmp_path):
        raise RuntimeError("mine")
    lock.check_free(tmp_path)
    _hold(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x", "host": 1}'])
def test_a_lock_that_is_not_legible_is_held_all_the_same(holder, tmp_path, content):
    (tmp_path / lock.NAME).write_text(content)
    with pytest.raises(ValueError, match="in use by another process; wait"):
        lock.check_free(tmp_path)


def test_a_lock_that_its_holder_removes_meanwhile_is_not_taken(tmp_path, monkeypatch):
    # Opened before its holder removed it, locked after: nobody else would see it.
    (tmp_path / lock.NAME).touch()
    flock, times = lock.fcntl.flock, []

    def slow(file, how):
        if not times:
            (tmp_path / lock.NAME).unlink()
        times.append(1)
        flock(file, how)

    monkeypatch.setattr(lock.fcntl, "flock", slow)
    with lock.held(tmp_path):
        assert len(times) == 2
        assert (tmp_path / lock.NAME).exists()


def test_where_there_are_no_locks_whoever_has_signed_counts_as_there(
    tmp_path, monkeypatch
):
    def none(file, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", none)
    with lock.held(tmp_path):
        signed = (tmp_path / lock.NAME).read_text()
        for attempt in (lock.check_free, _hold):
            with pytest.raises(
                ValueError, match="its file system has no locks to tell"
            ):
                attempt(tmp_path)
        assert (tmp_path / lock.NAME).read_text() == signed
    _hold(tmp_path)


def test_a_lock_in_a_folder_that_took_the_place_of_ours_is_left(tmp_path):
    run, moved = tmp_path / "run", tmp_path / "moved"
    run.mkdir()
    with lock.held(run):
        run.rename(moved)
        run.mkdir()
        (run / lock.NAME).write_text("another's")
    assert (run / lock.NAME).read_text() == "another's"


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / lock.NAME).symlink_to(tmp_path / "mine")
    lock.check_free(tmp_path)
    with pytest.raises(files.NotWritten, match=r"\.lock: cannot be written"):
        _hold(tmp_path)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_lock_that_cannot_be_written_is_an_error_and_leaves_nothing(
    tmp_path, monkeypatch
):
    def full(file, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lock.os, "ftruncate", full)
    with pytest.raises(files.NotWritten, match=r"\.lock: cannot be written: No space"):
        _hold(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_has_gone_meanwhile_is_left_without_an_error(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with lock.held(folder):
        (folder / lock.NAME).unlink()
        folder.rmdir()


def _hold(folder):
    with lock.held(folder):
        pass
