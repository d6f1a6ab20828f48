"""Where the cache is."""

import pathlib

import pytest

from vae_jax.data import cache


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
