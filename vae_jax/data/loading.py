"""The one door to every data set: find it, check it, split it, binarise it."""

import logging

from vae_jax.data import binarization, digits, mnist
from vae_jax.data.dataset import Dataset, Raw, Split, check

log = logging.getLogger("vae_jax")

# By name: a loader takes data.dir and data.split_seed, and uses what it needs.
LOADERS = {
    "mnist": lambda directory, split_seed: mnist.load(directory),
    "digits": lambda directory, split_seed: digits.load(split_seed),
}
NAMES = tuple(LOADERS)
BINARIZE = ("none", "threshold", "static", "dynamic")

TRAIN_STREAM, TEST_STREAM = 0, 1


def load(
    name: str,
    *,
    directory: str | None,
    valid_size: int,
    split_seed: int,
    binarize: str,
    limit: int,
) -> Dataset:
    """The named data set, checked, cut and binarised.

    The training, validation and test images of one ``split_seed`` are the same at every
    call; the test images depend on neither ``valid_size`` nor ``limit``.

    Args:
        name: one of ``NAMES``.
        directory: folder that may hold the data set's files; never written to.
        valid_size: how many of the last training images become the validation part.
        split_seed: decides the order of a data set that has no published test part.
        binarize: one of ``BINARIZE``. With "dynamic" the training images stay grey, to
            be sampled at every batch; validation and test are those of "static".
        limit: keep only so many of the first training images; 0 keeps all.

    Raises:
        ValueError: if an argument is out of its range, or a data file is damaged.
        FileNotFoundError: if ``directory`` is not there, or no source has the data.
    """
    _check_arguments(name, valid_size, split_seed, binarize, limit)
    raw = LOADERS[name](directory, split_seed)
    check(name, raw)
    train, valid, test = _cut(name, raw, valid_size, binarize, limit)
    sizes = len(train.images), len(valid.images), len(test.images)
    log.info("%s: %d training, %d validation, %d test images", name, *sizes)
    return Dataset(name, raw.source, train, valid, test)


def _check_arguments(
    name: str, valid_size: int, split_seed: int, binarize: str, limit: int
) -> None:
    if name not in NAMES:
        raise ValueError(f"data.name: must be one of {', '.join(NAMES)}, got {name!r}")
    if binarize not in BINARIZE:
        choices = ", ".join(BINARIZE)
        raise ValueError(f"data.binarize: must be one of {choices}, got {binarize!r}")
    numbers = {"valid_size": valid_size, "split_seed": split_seed, "limit": limit}
    for field, value in numbers.items():
        if value < 0:
            raise ValueError(f"data.{field}: must be 0 or more, got {value}")


def _cut(
    name: str, raw: Raw, valid_size: int, binarize: str, limit: int
) -> tuple[Split, Split, Split]:
    count = len(raw.train.images)
    if valid_size >= count:
        raise ValueError(
            f"data.valid_size: must leave one of {name}'s {count} training images, "
            f"got {valid_size}"
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
    train = _rows(seen, slice(limit or left))
    valid = _rows(fixed, slice(left, count))
    return train, valid, _binarize(raw.test, binarize, TEST_STREAM)


def _binarize(split: Split, binarize: str, stream: int) -> Split:
    if binarize == "none":
        return split
    if binarize == "threshold":
        return split._replace(images=binarization.threshold(split.images))
    return split._replace(images=binarization.sample(split.images, stream))


def _rows(split: Split, rows: slice) -> Split:
    labels = None if split.labels is None else split.labels[rows]
    return Split(split.images[rows], labels)
