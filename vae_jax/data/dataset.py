"""What a data set is, and the one check that every source passes."""

from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Images of one part of a data set, and their labels where there are any."""

    images: np.ndarray  # uint8 [N, H, W, C]
    labels: np.ndarray | None  # int32 [N]


class Dataset(NamedTuple):
    """A data set, cut and binarised as the config asks."""

    name: str
    source: str  # where it came from, for the record
    train: Split
    valid: Split  # may hold no images
    test: Split


class Raw(NamedTuple):
    """A data set as its source gives it: in order, grey, no validation part yet."""

    source: str
    train: Split
    test: Split


class Unavailable(LookupError):
    """A source that does not have the data now: the next one is tried."""


def check(name: str, raw: Raw) -> None:
    """Refuses arrays that are not what ``Split`` says.

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if a shape is wrong, or a part is empty.
    """
    _check_split(f"{name} train", raw.train)
    _check_split(f"{name} test", raw.test)
    train, test = raw.train.images.shape[1:], raw.test.images.shape[1:]
    if train != test:
        raise ValueError(
            f"{name}: train and test images must have one shape, got {train} and {test}"
        )


def _check_split(where: str, split: Split) -> None:
    images, labels = split
    if images.dtype != np.uint8:
        raise TypeError(f"{where}: images must be uint8, got {images.dtype}")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"{where}: images must be [N, H, W, C] and not empty, "
            f"got shape {images.shape}"
        )
    if labels is None:
        return
    if labels.dtype != np.int32:
        raise TypeError(f"{where}: labels must be int32, got {labels.dtype}")
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"{where}: labels must be one for each of {len(images)} images, "
            f"got shape {labels.shape}"
        )
