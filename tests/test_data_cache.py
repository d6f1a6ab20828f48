"""Where the cache is."""

import os
import pathlib

import numpy as np
import pytest

from vae_jax.data import cache
from vae_jax.data.dataset import Unavailable


def test_the_cache_is_in_xdg_cache_home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.path("mnist.npz") == tmp_path / "vae_jax" / "mnist.npz"


@pytest.mark.parametrize("value", [None, "", "relative/folder"])
def test_the_cache_is_in_the_home_folder_otherwise(monkeypatch, value):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    expected = pathlib.Path("/home/someone/.cache/vae_jax/mnist.npz")
    assert cache.path("mnist.npz") == expected


def test_without_a_home_nothing_is_kept_and_that_is_said(monkeypatch, caplog):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as it does then
    monkeypatch.setattr(cache.log, "propagate", True)
    assert cache.path("mnist.npz").is_absolute()
    cache.keep("mnist.npz", {"images": np.zeros(3)}, "mnist")
    assert "mnist: not cached: " in caplog.text
    with pytest.raises(Unavailable):
        cache.take("mnist.npz", lambda path: path)
