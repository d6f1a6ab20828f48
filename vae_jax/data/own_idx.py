"""Any set in IDX files that are named like MNIST's: Fashion-MNIST, KMNIST, EMNIST."""

import pathlib
import re

import numpy as np

from vae_jax.data import idx, search
from vae_jax.data.dataset import Raw, Split
from vae_jax.data.parts import say_left_out

# "train-images-idx3-ubyte.gz", "emnist-letters-test-labels-idx1-ubyte" and the like.
NAME = re.compile(
    r"(?P<set>.*?)(?P<part>train|t10k|test|valid)-"
    r"(?P<what>images|labels)[-.]idx\d-ubyte(?:\.gz)?"
)
ENDING = "-ubyte"  # of what could be meant to be part of a set
PARTS = {"train": "train", "valid": "valid", "test": "test", "t10k": "test"}


def load(path: str | None) -> Raw:
    """The parts whose files there are; without a test part, some will be held out.

    Args:
        path: a folder that holds one set. Of several, one is chosen by the beginning of
            its files' names after the folder: ``FOLDER/emnist-letters-``.

    Raises:
        FileNotFoundError: if there is no such folder, or no set in it.
        ValueError: if a file is damaged, or the folder holds several sets.
    """
    folder, prefix = _place(path)
    found: dict[str, dict[tuple[str, str], pathlib.Path]] = {}
    others = []
    for file in sorted(folder.iterdir()):  # the raw one comes before its .gz
        name = NAME.fullmatch(file.name)
        # A pipe would be waited for, and a folder is none of the files.
        if name and name["set"].startswith(prefix) and file.is_file():
            key = PARTS[name["part"]], name["what"]
            found.setdefault(name["set"], {}).setdefault(key, file)
        elif not name and file.name.startswith(prefix) and ENDING in file.name:
            others.append(file.name)
    found = {
        name: files for name, files in found.items() if ("train", "images") in files
    }
    if not found:
        raise FileNotFoundError(
            f"{folder}: must hold {prefix}train-images-idx3-ubyte, raw or .gz, and has "
            "no such file"
        )
    if len(found) > 1:
        raise ValueError(
            f"{folder}: must hold one set, or data.path must go on with the beginning "
            f"of its files' names, one of {', '.join(map(repr, found))}"
        )
    (files,) = found.values()
    say_left_out("idx", str(folder), others)
    parts = {part: _split(part, files) for part, what in files if what == "images"}
    return Raw(f"idx files in {folder}", **parts)


def _place(path: str | None) -> tuple[pathlib.Path, str]:
    """The folder, and what the names of its files must begin with."""
    place = search.place(path or "")
    if path and place.is_dir():
        return place, ""
    if path and place.parent.is_dir():
        begin = place.name
        if any(file.name.startswith(begin) for file in place.parent.iterdir()):
            return place.parent, begin
    raise FileNotFoundError(
        "data.path: must name a folder for data.name=idx, or one and the beginning of "
        f"its files' names, got {path or ''!r}"
    )


def _split(part: str, files: dict[tuple[str, str], pathlib.Path]) -> Split:
    path = files[part, "images"]
    images = idx.read(path)
    if images.ndim not in (3, 4):
        raise ValueError(
            f"{path}: must be [N, H, W] or [N, H, W, C], got shape {images.shape}"
        )
    if images.ndim == 3:
        images = images[..., None]
    if (part, "labels") not in files:
        return Split(images, None)
    return Split(images, idx.read(files[part, "labels"]).astype(np.int32))
