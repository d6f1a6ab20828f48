"""The one door to every data set: find it, check it, split it, binarise it."""

import logging
from collections.abc import Callable

import numpy as np

from vae_jax.data import (
    binarization,
    digits,
    folder,
    freyfaces,
    mnist,
    own_idx,
    own_npy,
    own_npz,
    shapes,
    tfds_source,
)
from vae_jax.data.dataset import Dataset, Raw, Split, Wanted, check, rows_of

log = logging.getLogger("vae_jax")

LOADERS = {
    "mnist": lambda wanted: mnist.load(wanted.directory),
    "digits": lambda wanted: digits.load(),
    "freyfaces": lambda wanted: freyfaces.load(wanted.directory),
    "shapes": shapes.load,
    "npz": lambda wanted: own_npz.load(wanted.path),
    "npy": lambda wanted: own_npy.load(wanted.path),
    "idx": lambda wanted: own_idx.load(wanted.path),
    "folder": folder.load,
}
NAMES = (*LOADERS, tfds_source.PREFIX + "NAME")
BINARIZE = ("none", "threshold", "static", "dynamic")

TRAIN_STREAM, TEST_STREAM, VALID_STREAM = range(3)
TENTH = -1


def load(
    name: str,
    wanted: Wanted,
    *,
    valid_size: int,
    test_size: int,
    binarize: str,
    limit: int,
) -> Dataset:
    """The named data set, checked, cut and binarised.

    The training, validation and test images of one ``wanted.seed`` are the same at
    every call; the test images depend on neither ``valid_size`` nor ``limit``.

    Args:
        name: one of ``NAMES``; for "tfds:NAME" a set of TensorFlow Datasets.
        wanted: what the source is asked for; its folders are never written to.
        valid_size: how many of the last training images become the validation part,
            where the source has none of its own; -1: a tenth.
        test_size: how many images are held out for the test, where the source has no
            test part of its own; -1: a tenth.
        binarize: one of ``BINARIZE``. With "dynamic" the training images stay grey, to
            be sampled at every batch; validation and test are those of "static".
        limit: keep only so many of the first training images; 0 keeps all.

    Raises:
        ValueError: if an argument is out of its range, or a data file is damaged.
        FileNotFoundError: if a folder is not there, or no source has the data.
    """
    _check_arguments(name, valid_size, test_size, binarize, limit)
    raw = _loader(name)(wanted)
    check(name, raw)
    if raw.test is None:
        raw = _hold_out(name, raw, test_size, wanted.seed)
    train, valid, test = _cut(name, raw, valid_size, binarize, limit)
    sizes = len(train.images), len(valid.images), len(test.images)
    log.info("%s: %d training, %d validation, %d test images", name, *sizes)
    return Dataset(name, raw.source, train, valid, test, raw.factors)


def _check_arguments(
    name: str, valid_size: int, test_size: int, binarize: str, limit: int
) -> None:
    if name not in LOADERS and not name.startswith(tfds_source.PREFIX):
        raise ValueError(f"data.name: must be one of {', '.join(NAMES)}, got {name!r}")
    if binarize not in BINARIZE:
        choices = ", ".join(BINARIZE)
        raise ValueError(f"data.binarize: must be one of {choices}, got {binarize!r}")
    if name == "npy" and binarize != "none":
        raise ValueError(
            f"data.binarize: must be none for data.name=npy, got {binarize!r}; store "
            "the images as 0 and 255, or use an npz file if they fit into memory"
        )
    numbers = {"valid_size": valid_size, "test_size": test_size, "limit": limit}
    for field, value in numbers.items():
        if value < 0 and not (value == TENTH and field != "limit"):
            raise ValueError(f"data.{field}: must be 0 or more, got {value}")


def _loader(name: str) -> Callable[[Wanted], Raw]:
    if name.startswith(tfds_source.PREFIX):
        return lambda wanted: tfds_source.load(name, wanted)
    return LOADERS[name]


def _hold_out(name: str, raw: Raw, test_size: int, seed: int) -> Raw:
    """The same set in a random order, the first images for the test."""
    count = len(raw.train.images)
    if count < 2:
        raise ValueError(
            f"{name}: must have 2 images or more, to train on and to test, got {count}"
        )
    size = _tenth_of(count) if test_size == TENTH else test_size
    if not 0 < size < count:
        raise ValueError(
            f"data.test_size: must be 1 to {count - 1} of {name}'s {count} images, "
            f"or -1 for a tenth, got {test_size}"
        )
    order = np.random.default_rng(seed).permutation(count)
    train, test = rows_of(raw.train, order[size:]), rows_of(raw.train, order[:size])
    return raw._replace(train=train, test=test)


def _cut(
    name: str, raw: Raw, valid_size: int, binarize: str, limit: int
) -> tuple[Split, Split, Split]:
    count = len(raw.train.images)
    if raw.valid is not None:
        log.info("%s: comes with its own validation images", name)
        valid_size = 0
    elif valid_size == TENTH:
        valid_size = _tenth_of(count)
    if valid_size >= count:
        raise ValueError(
            f"data.valid_size: must leave one of {name}'s {count} training images, "
            f"got {valid_size}; -1 takes a tenth"
        )
    left = count - valid_size
    if limit > left:
        raise ValueError(
            f"data.limit: must be 0 (all) to {left} for {name} "
            f"with data.valid_size={valid_size}, got {limit}"
        )
    # Binarised before the cut: an image is sampled alike wherever the cut falls.
    fixed = _binarize(raw.train, binarize, TRAIN_STREAM)
    seen = raw.train if binarize == "dynamic" else fixed
    train = rows_of(seen, slice(limit or left))
    if raw.valid is None:
        valid = rows_of(fixed, slice(left, count))
    else:
        valid = _binarize(raw.valid, binarize, VALID_STREAM)
    return train, valid, _binarize(raw.test, binarize, TEST_STREAM)


def binarized_once(train: Split, binarize: str) -> Split:
    """Training images as validation and test images are: ``dynamic`` leaves them grey.

    Then they are those of ``static``.
    """
    return _binarize(train, binarize, TRAIN_STREAM) if binarize == "dynamic" else train


def _tenth_of(count: int) -> int:
    return max(1, count // 10)


def _binarize(split: Split, binarize: str, stream: int) -> Split:
    if binarize == "none":
        return split
    if binarize == "threshold":
        return split._replace(images=binarization.threshold(split.images))
    return split._replace(images=binarization.sample(split.images, stream))
