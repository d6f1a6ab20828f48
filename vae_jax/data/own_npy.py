"""The user's own images in ``.npy`` files, of which memory need not hold any.

A part is a file, ``train.npy``, or several, ``train-00000-of-00010.npy`` and so on.
"""

import pathlib
import re
from typing import NamedTuple

import numpy as np

from vae_jax import checksums, machine
from vae_jax.data import npz, search
from vae_jax.data.dataset import Raw, Split, whole_labels
from vae_jax.data.mapped import Mapped
from vae_jax.data.parts import LABELS, PARTS, check_names, say_left_out

UNFINISHED = ".unfinished"  # what ``shard`` fills, and empties when all is there
NAME = re.compile(r"(?P<set>.+?)(?:-(?P<number>\d+)-of-(?P<count>\d+))?(?i:\.npy)")

Files = dict[str, list[pathlib.Path]]  # by the name of their set


class Shard(NamedTuple):
    """What a file's name says that it is."""

    number: int
    count: int
    path: pathlib.Path


def load(path: str | None) -> Raw:
    """The parts whose files there are; a single set of another name is for training.

    Args:
        path: of one file, or of a folder that holds a set. The images are uint8
            ``[N, H, W]`` or ``[N, H, W, C]``; ``train_labels.npy`` and so on may hold
            labels, whole numbers ``[N]``. Python objects are never unpickled.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        TypeError: if an array is of a wrong kind.
        ValueError: if a file is damaged or missing, two of them do not fit together, or
            a part is not called as it must be.
    """
    place = search.place(path or "")
    if not path or not place.exists():
        raise FileNotFoundError(
            f"data.path: must name an npy file or a folder of them for data.name=npy, "
            f"got {path or ''!r}"
        )
    if not place.is_dir():
        return Raw(f"npy {place}", Split(_images([place]), None))
    if (place / UNFINISHED).exists():
        raise ValueError(
            f"{place}: must be a whole set, got one with {UNFINISHED}, to which files "
            "are still being written; if that process was killed, delete what it left "
            f"in {place} and write the set again"
        )
    files = _files(place)
    check_names(str(place), files, LABELS)
    parts = _parts(place, files)
    used = {*parts.values(), *(name + LABELS for name in parts.values())}
    say_left_out("npy", str(place), [name for name in files if name not in used])
    splits = {part: _split(files, name) for part, name in parts.items()}
    return Raw(f"npy files in {place}", **splits)


def _files(folder: pathlib.Path) -> Files:
    """The files of every set, in order, none of them missing."""
    found: dict[str, list[Shard]] = {}
    for path in sorted(folder.iterdir()):
        name = NAME.fullmatch(path.name)
        if name and not path.name.startswith("."):
            number, count = int(name["number"] or 0), int(name["count"] or 1)
            found.setdefault(name["set"], []).append(Shard(number, count, path))
    return {name: _complete(folder, shards) for name, shards in found.items()}


def _complete(folder: pathlib.Path, shards: list[Shard]) -> list[pathlib.Path]:
    shards = sorted(shards)
    first = shards[0]
    for shard in shards[1:]:
        if shard.count != first.count:
            raise ValueError(
                f"{folder}: the files of a set must be of one number of files, got "
                f"{first.path.name} and {shard.path.name}"
            )
    numbers = [shard.number for shard in shards]
    if numbers != list(range(first.count)):
        raise ValueError(
            f"{folder}: must hold files 0 to {first.count - 1} of "
            f"{first.path.name}'s set, each once, got {', '.join(map(str, numbers))}"
        )
    return [shard.path for shard in shards]


def _parts(folder: pathlib.Path, files: Files) -> dict[str, str]:
    """Which set is which part."""
    names = [name for name in files if not name.endswith(LABELS)]
    if "train" in names:
        return {part: part for part in PARTS if part in names}
    if len(names) != 1 or names[0] in PARTS:
        raise ValueError(
            f"{folder}: must hold train.npy, perhaps with valid.npy and test.npy, or "
            "one set of another name, whose files may be NAME-00000-of-00010.npy and "
            f"so on; got {', '.join(names) or 'no npy file'}"
        )
    return {"train": names[0]}


def _split(files: Files, name: str) -> Split:
    images = _images(files[name])
    if name + LABELS not in files:
        return Split(images, None)
    parts = [mapped(path) for path in files[name + LABELS]]
    what = str(files[name + LABELS][0])
    return Split(images, whole_labels(what, np.concatenate(parts), len(images)))


def _images(paths: list[pathlib.Path]) -> Mapped:
    machine.open_more_files(len(paths))
    files = [_images_of(path) for path in paths]
    for path, file in zip(paths, files, strict=True):
        if file.shape[1:] != files[0].shape[1:]:
            raise ValueError(
                f"{path}: must hold images of the shape that {paths[0].name} has, "
                f"{files[0].shape[1:]}, got {file.shape[1:]}"
            )
    return Mapped(files)


def _images_of(path: pathlib.Path) -> np.memmap:
    images = mapped(path)
    if images.dtype != np.uint8:
        raise TypeError(
            f"{path}: images must be uint8, got {images.dtype}; floats can be in an "
            "npz file, if they fit into memory"
        )
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise ValueError(
            f"{path}: images must be [N, H, W] or [N, H, W, C] and not empty, "
            f"got shape {images.shape}"
        )
    return images[..., None] if images.ndim == 3 else images


def mapped(path: pathlib.Path) -> np.memmap:
    """The array of a file, of which nothing but its header is read.

    Raises:
        ValueError: if it is no npy file, has Python objects, is not whole or is in
            Fortran's order.
        OSError: if too many files are open, or memory is full.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise ValueError("something that is no file")
        with path.open("rb") as stream:
            shape, fortran_order, dtype = npz.header(stream, "it")
            begin = stream.tell()
        expected = begin + int(np.prod(shape, dtype=object)) * dtype.itemsize
        if (got := path.stat().st_size) != expected:
            raise ValueError(f"{got} bytes where its header says {expected}")
        if fortran_order and len(shape) > 1:
            raise ValueError("an array in Fortran's order")
        return np.memmap(path, dtype, "r", begin, shape)
    except Exception as error:  # of any kind, from numpy's headers
        if checksums.is_scarce(error):
            raise
        raise ValueError(f"{path}: must be a whole npy file, got {error}") from error
