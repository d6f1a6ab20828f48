"""What a data set is, and the one check that every source passes."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from vae_jax.data.mapped import Images, only

MAX_BYTES = 8 * 10**9  # of all images together, where they are held in memory
TO_FILES = "for more, python -m vae_jax.data.shard writes files for data.name=npy"


class Split(NamedTuple):
    """Images of one part of a data set, and their labels where there are any."""

    images: Images  # uint8, or float32 in [0, 1]; [N, H, W, C]
    labels: np.ndarray | None  # int32 [N], or [N, F]: one column for each factor


class Dataset(NamedTuple):
    """A data set, cut and binarised as the config asks."""

    name: str
    source: str  # where it came from, for the record
    train: Split
    valid: Split  # may hold no images
    test: Split
    factors: tuple[str, ...] = ()  # what the columns of [N, F] labels are


class Raw(NamedTuple):
    """A data set as its source gives it: in its order, neither binarised nor cut."""

    source: str
    train: Split
    test: Split | None = None  # None: some of ``train`` are to be held out
    valid: Split | None = None  # None: the last of ``train`` are taken
    factors: tuple[str, ...] = ()


class Examples(NamedTuple):
    """A part of a data set that is read one image after the other."""

    count: int
    labelled: bool
    each: Iterator[tuple[np.ndarray, int]]  # uint8 [H, W, C], and the label or 0


class Wanted(NamedTuple):
    """What a source can be asked for. Each heeds what it needs."""

    directory: str | None  # may hold the files of a set that is known by name
    path: str | None  # of the user's own images
    seed: int  # of what is drawn: a procedural set, or the images that are held out
    image_size: tuple[int, int] | None  # height and width; None: as they are
    channels: int  # 1 or 3; 0: as they are
    num_images: int  # of a procedural set


def rows_of(split: Split, rows: slice | np.ndarray) -> Split:
    """Some of a split's images, with their labels. Of files, nothing is read."""
    images, labels = split
    labels = None if labels is None else labels[rows]
    return Split(only(images, rows), labels)


def whole_labels(what: str, labels: np.ndarray, count: int) -> Int32[np.ndarray, " N"]:
    """The labels of ``count`` images as ``Split`` has them.

    Raises:
        TypeError: if they are no whole numbers.
        ValueError: if they are not one for each image, or too large.
    """
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{what} must be whole numbers, got {labels.dtype}")
    if labels.shape != (count,):
        raise ValueError(
            f"{what} must be one for each of {count} images, got shape {labels.shape}"
        )
    if (labels != labels.astype(np.int32)).any():
        raise ValueError(f"{what} must fit into 32 bits")
    return labels.astype(np.int32)


def check_memory(what: str, num_bytes: int, advice: str) -> None:
    """Refuses images that would not fit into memory, before it is asked for.

    Raises:
        ValueError: if they take more than ``MAX_BYTES``.
    """
    if num_bytes > MAX_BYTES:
        raise ValueError(
            f"{what}: images must take at most {MAX_BYTES / 1e9:g} GB of memory, got "
            f"{num_bytes / 1e9:.3g} GB; {advice}"
        )


class Unavailable(LookupError):
    """A source that does not have the data now: the next one is tried."""


def check(name: str, raw: Raw) -> None:
    """Refuses arrays that are not what ``Split`` says.

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if a shape or a value is wrong, or a part is empty.
    """
    parts = {"train": raw.train, "valid": raw.valid, "test": raw.test}
    given = {part: split for part, split in parts.items() if split is not None}
    for part, split in given.items():
        _check_split(f"{name} {part}", split, len(raw.factors))
        one, other = raw.train.images, split.images
        if (one.shape[1:], one.dtype) != (other.shape[1:], other.dtype):
            raise ValueError(
                f"{name}: train and {part} images must have one shape and type, "
                f"got {one.shape[1:]} {one.dtype} and {other.shape[1:]} {other.dtype}"
            )


def _check_split(where: str, split: Split, num_factors: int) -> None:
    images, labels = split
    if images.dtype not in (np.uint8, np.float32):
        raise TypeError(f"{where}: images must be uint8 or float32, got {images.dtype}")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"{where}: images must be [N, H, W, C] and not empty, "
            f"got shape {images.shape}"
        )
    if images.shape[-1] not in (1, 3):
        raise ValueError(
            f"{where}: images must have 1 or 3 channels, on the last axis, "
            f"got shape {images.shape}"
        )
    if images.dtype == np.float32:
        low, high = images.min(), images.max()
        if not (low >= 0 and high <= 1):  # NaN is neither
            got = "NaN" if np.isnan(low) else f"{low:g} to {high:g}"
            raise ValueError(f"{where}: images must be finite and in [0, 1], got {got}")
    if labels is None:
        return
    if labels.dtype != np.int32:
        raise TypeError(f"{where}: labels must be int32, got {labels.dtype}")
    columns = (num_factors,) if num_factors else ()
    if labels.shape != (len(images), *columns):
        raise ValueError(
            f"{where}: labels must be {columns or 'one'} for each of {len(images)} "
            f"images, got shape {labels.shape}"
        )
