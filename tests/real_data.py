"""Where real data is kept, and the mark of tests that need some of it."""

import os
import pathlib

import pytest

FOLDER = pathlib.Path(os.environ.get("VAE_JAX_DATA_DIR") or os.devnull)


def needs(name: str) -> pytest.MarkDecorator:
    """``FreyFaces`` or ``MNIST``, in a folder of that name in lower case."""
    return pytest.mark.skipif(
        not (FOLDER / name.lower()).is_dir(),
        reason=f"VAE_JAX_DATA_DIR holds no {name}",
    )
