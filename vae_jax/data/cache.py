"""The one folder that the package writes data to."""

import os
import pathlib


def path(name: str) -> pathlib.Path:
    """Where the file ``name`` of the cache is, or would be."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path is to be ignored.
    if not os.path.isabs(root):
        root = os.path.expanduser("~/.cache")
    return pathlib.Path(root) / "vae_jax" / name
