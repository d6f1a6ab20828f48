"""A folder of PNG or JPEG files, with or without parts and classes.

Images lie anywhere below it. ``train/`` and, if wanted, ``valid/`` and ``test/`` in it
are its parts; without ``train/`` all images are for training. A folder beside them that
is nearly called so, ``Test/`` or ``val/``, is refused. The folders right below a
part, if there are at least two and all of its images lie in them, are classes.
"""

import collections
import logging
import os
import pathlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from jaxtyping import UInt8

from vae_jax.data import counting, decoded, decoding, search
from vae_jax.data.dataset import TO_FILES, Examples, Raw, Split, Wanted, check_memory
from vae_jax.data.parts import PARTS, check_names

log = logging.getLogger("vae_jax")

SUFFIXES = (".png", ".jpg", ".jpeg")
NOTES = (".txt", ".csv", ".json", ".md")  # which lie beside images and are none
AHEAD = 32  # images that are decoded before they are asked for

Names = dict[str, list[str]]  # by part: paths relative to the folder, in order


def load(wanted: Wanted) -> Raw:
    """All images in the order of their names, alike on every file system.

    Raises:
        ValueError: if no folder is named, a part holds no images or is not called as
            it must be, an image is broken or has more than eight bits a channel, or two
            images do not fit together.
        FileNotFoundError: if the folder is not there.
    """
    root = _root(wanted.path)
    parts = _parts(root)
    names = [name for members in parts.values() for name in members]
    options = wanted.image_size, wanted.channels
    paths = [root / name for name in names]
    mark = decoded.fingerprint(str(root), paths, *options)
    arrays = decoded.once(
        "folder",
        mark,
        lambda: {"images": _decode(root, names, *options)},
        {"images": len(names)},
    )
    cuts = np.cumsum([len(members) for members in parts.values()])[:-1]
    images = dict(zip(parts, np.split(arrays["images"], cuts), strict=True))
    labels = _labels(parts)
    splits = {part: Split(images[part], labels[part]) for part in parts}
    return Raw(f"files in {root}", **splits)


def examples(wanted: Wanted) -> dict[str, Examples]:
    """The images of ``load`` for one who takes them one by one. Nothing is cached.

    Raises:
        ValueError: as ``load`` does, some only when an image is asked for.
        FileNotFoundError: if the folder is not there.
    """
    root = _root(wanted.path)
    parts = _parts(root)
    labels = _labels(parts)

    def one_by_one(part: str, names: list[str]) -> Iterator[tuple[np.ndarray, int]]:
        numbers = np.zeros(len(names)) if labels[part] is None else labels[part]
        images = _images(root, names, wanted.image_size, wanted.channels)
        return zip(images, map(int, numbers), strict=True)

    return {
        part: Examples(len(names), labels[part] is not None, one_by_one(part, names))
        for part, names in parts.items()
    }


def _root(path: str | None) -> pathlib.Path:
    text = f"data.path: must name a folder for data.name=folder, got {path or ''!r}"
    if not path:
        raise ValueError(text)
    root = search.place(path)
    if not os.path.isdir(root):
        raise FileNotFoundError(text)
    return root


def _parts(root: pathlib.Path) -> Names:
    others: collections.Counter[str] = collections.Counter()
    names = sorted(_names(str(root), others))
    if others:
        each = ", ".join(
            f"{count} {suffix}" for suffix, count in sorted(others.items())
        )
        log.warning("folder: left out of %s by their suffix: %s", root, each)
    folders = {name.partition("/")[0] for name in names if "/" in name}
    check_names(str(root), sorted(folders))
    listed = os.listdir(root)
    given = [part for part in PARTS if part in listed and os.path.isdir(root / part)]
    prefixes = {"train": ""}
    if "train" in given:
        prefixes = {part: f"{part}/" for part in given}
    elif given:
        raise ValueError(
            f"{root}: must hold train/ beside {' and '.join(given)}/, and does not"
        )
    parts = {}
    for part, prefix in prefixes.items():
        parts[part] = [name for name in names if name.startswith(prefix)]
        if not parts[part]:
            raise ValueError(
                f"{root / prefix}: must hold images ({', '.join(SUFFIXES)}), got none"
            )
    left = len(names) - sum(map(len, parts.values()))
    if left:
        where = f"{left} images in {root} are in none of {', '.join(parts)}"
        log.warning("folder: %s and left out", where)
    return parts


def _names(
    folder: str, others: collections.Counter[str], above: tuple[str, ...] = ()
) -> Iterator[str]:
    """Relative names of the images below a folder; hidden ones are none.

    ``others`` counts the other files by their suffix, as some may be images too.
    """
    here = os.path.realpath(folder)
    if here in above:  # a link to a folder that it lies in
        return
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            below = _names(entry.path, others, (*above, here))
            yield from (f"{entry.name}/{name}" for name in below)
        elif entry.name.lower().endswith(SUFFIXES):
            yield entry.name
        else:
            _, suffix = os.path.splitext(entry.name.lower())
            if suffix not in NOTES:
                others[suffix if suffix[1:].isidentifier() else "other"] += 1


def _decode(
    root: pathlib.Path,
    names: list[str],
    image_size: tuple[int, int] | None,
    channels: int,
) -> UInt8[np.ndarray, "N H W C"]:
    images = None
    decoded_ones = _images(root, names, image_size, channels)
    for row, image in enumerate(counting.counted("folder", decoded_ones, len(names))):
        if images is None:
            advice = f"--config.data.image_size=H,W makes them smaller; {TO_FILES}"
            check_memory(str(root), len(names) * image.size, advice)
            images = np.empty((len(names), *image.shape), np.uint8)
        images[row] = image
    return images


def _images(
    root: pathlib.Path,
    names: list[str],
    image_size: tuple[int, int] | None,
    channels: int,
) -> Iterator[UInt8[np.ndarray, "H W C"]]:
    """The images one by one, all of one shape; a few are in memory."""

    def read(name: str) -> np.ndarray:
        try:
            if not os.path.isfile(root / name):  # a pipe would be waited for
                raise ValueError("must be a file, got something else")
            return decoding.read(root / name, image_size, channels)
        except ValueError as error:
            raise ValueError(f"{root / name}: {error}") from error

    def read_alike(name: str) -> np.ndarray | tuple[int, ...]:
        """The image, or the shape of one that is not to be kept."""
        image = read(name)
        return image if image.shape == first.shape else image.shape

    def taken(name: str, future: Future) -> np.ndarray:
        found = future.result()
        if isinstance(found, tuple):
            raise _unlike(root, (names[0], first.shape), (name, found))
        return found

    first = read(names[0])
    yield first
    pool = ThreadPoolExecutor()  # Pillow decodes outside of Python's lock
    coming: collections.deque = collections.deque()
    try:
        for name in names[1:]:
            coming.append((name, pool.submit(read_alike, name)))
            if len(coming) == AHEAD:
                yield taken(*coming.popleft())
        while coming:
            yield taken(*coming.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _unlike(
    root: pathlib.Path,
    one: tuple[str, tuple[int, ...]],
    other: tuple[str, tuple[int, ...]],
) -> ValueError:
    """What is wrong with two images of different shapes."""
    (a, (height, width, channels)), (b, shape) = one, other
    if shape[:2] != (height, width):
        return ValueError(
            f"{root}: images must have one size, got {height}x{width} (height x width) "
            f"in {a} and {shape[0]}x{shape[1]} in {b}; "
            "--config.data.image_size=H,W scales and crops them"
        )
    grey, colour = (a, b) if channels == 1 else (b, a)
    return ValueError(
        f"{root}: images must be all grey or all in colour, got grey {grey} and "
        f"colour {colour}; --config.data.channels=1 or 3 makes them alike"
    )


def _labels(parts: Names) -> dict[str, np.ndarray | None]:
    """Places of the images' class folders in their order, which all parts share."""
    folders = {
        part: [_class_folder(name.removeprefix(f"{part}/")) for name in members]
        for part, members in parts.items()
    }
    sets = {part: set(members) for part, members in folders.items()}
    labelled = {
        part for part, found in sets.items() if len(found) > 1 and "" not in found
    }
    classes = sorted(set().union(*(sets[part] for part in labelled)))
    place = {folder: row for row, folder in enumerate(classes)}
    labels = dict.fromkeys(parts)
    for part in labelled:
        labels[part] = np.array([place[f] for f in folders[part]], np.int32)
    return labels


def _class_folder(name: str) -> str:
    first, slash, _ = name.partition("/")
    return first if slash else ""
