"""Sets of TensorFlow Datasets as arrays, without TensorFlow.

A set is "prepared" once TFDS has turned the published files into its own: records in
shards, and JSON files that say what is in them. Those are read here, as they are.
TFDS takes a third of a second to import, so only functions import it.
"""

import hashlib
import json
import logging
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vae_jax.data import cache, decoded, search, tfds_prepare, tfds_records
from vae_jax.data.dataset import Examples, Raw, Split, Unavailable, Wanted

log = logging.getLogger("vae_jax")

Builder = Any  # a tfds.core.DatasetBuilder

PREFIX = "tfds:"
SOURCE = "tfds "  # how every source starts
KIND = "tfds_decoded"  # beside the prepared sets in the cache, which are in "tfds"
NAME = re.compile(r"([A-Za-z]\w*)(/[\w+.-]+)?(:\d+\.\d+\.\d+)?")
CLASS_KEYS = ("type", "pythonClassName", "python_class_name")
# Of the sorted rows of one label and 784 pixels: TFDS has an order of its own.
SHA256 = {
    "mnist": {
        "train": "da6370735bf1d490f086dde49c15f2ed0480ad05dc7c70abf5d36bf471d5e312",
        "test": "0c7bc63f656fb2440dc2b5bea4ff3ac8632e305b73ec1dc88141a32d36204fac",
    }
}
WAYS_OUT = (
    "put a prepared set into a folder and say --config.data.dir=FOLDER, which holds "
    "NAME/VERSION/dataset_info.json",
    "or set VAE_JAX_DATA_DIR=FOLDER or TFDS_DATA_DIR=FOLDER",
    'or, with a network, pip install -e ".[tf]", and TFDS prepares it',
    "or run --config=configs/digits_mlp.py, which needs no network",
)


def load(name: str, wanted: Wanted) -> Raw:
    """A set by its name in TFDS, in TFDS's order, which is shuffled.

    Args:
        name: "tfds:NAME", "tfds:NAME/CONFIG" or "tfds:NAME:VERSION".
        wanted: its folder is looked into first; nothing is written there.

    Raises:
        ValueError: if the name is none, or the set is damaged or has no images.
        FileNotFoundError: if the folder is not there, or the set is in no place and
            cannot be prepared.
    """
    return read(builder_of(name, wanted), wanted.image_size, wanted.channels)


def examples(name: str, wanted: Wanted) -> dict[str, Examples]:
    """The images of ``load`` for one who takes them one by one. Nothing is cached.

    Raises:
        ValueError: as ``load`` does, some only when an image is asked for.
        FileNotFoundError: likewise.
    """
    builder = builder_of(name, wanted)
    options = wanted.image_size, wanted.channels
    return {
        part: tfds_records.examples(builder, split, *options)
        for part, split in _parts(builder).items()
    }


def builder_of(name: str, wanted: Wanted) -> Builder:
    """That of a set which is prepared, or now is.

    Raises:
        ValueError: if the name is none, or the set is damaged.
        FileNotFoundError: if the folder is not there, or the set is in no place and
            cannot be prepared.
    """
    asked = parse(name)
    folder = search.given_folder(wanted.directory)
    roots = ([folder] if folder else []) + homes()

    def from_folders() -> tuple[str, Builder]:
        builder = find(asked, roots)
        return source(builder), builder

    def prepared() -> tuple[str, Builder]:
        builder = tfds_prepare.prepare(asked, wanted.directory)
        return source(builder), builder

    return search.first(name, (from_folders, prepared), WAYS_OUT)[1]


def source(builder: Builder) -> str:
    return f"{SOURCE}{builder.data_dir} (its own order)"


def parse(name: str) -> str:
    """What TFDS calls the set ``name``.

    Raises:
        ValueError: if it is not written like one.
    """
    asked = name.removeprefix(PREFIX)
    if not name.startswith(PREFIX) or not NAME.fullmatch(asked):
        raise ValueError(
            "data.name: must be tfds:NAME, tfds:NAME/CONFIG or tfds:NAME:1.0.0, "
            f"got {name!r}"
        )
    return asked


def homes() -> list[pathlib.Path]:
    """Where TFDS keeps prepared sets, and then where ``load`` prepares them."""
    named = os.environ.get("TFDS_DATA_DIR")
    folders = [named] if named else []
    places = map(search.place, [*folders, "~/tensorflow_datasets"])
    return [*places, cache.path("tfds")]


def find(asked: str, roots: Sequence[pathlib.Path]) -> Builder:
    """The builder of a prepared set from the first of ``roots`` that has it.

    Raises:
        Unavailable: if none has it.
        ValueError: if its description is damaged.
    """
    bare = NAME.fullmatch(asked)[1]
    failures = []
    for root in roots:
        # Without the folder there is no need to import TFDS.
        builder = _open(asked, root) if (root / bare).is_dir() else None
        if builder is not None:
            return builder
        failures.append(f"tfds: no {asked} prepared in {root}")
    raise Unavailable("\n".join(failures))


def _open(asked: str, root: pathlib.Path) -> Builder | None:
    from tensorflow_datasets.core import read_only_builder, registered

    try:
        _check_classes(root / NAME.fullmatch(asked)[1])
        return read_only_builder.builder_from_files(asked, data_dir=root)
    except registered.DatasetNotFoundError:
        return None
    except Exception as error:  # of any kind, when a JSON file is damaged
        raise ValueError(
            f"{root}: must hold {asked} as TFDS prepares it, got {error}"
        ) from error


def _check_classes(folder: pathlib.Path) -> None:
    """Refuses sets that name classes which are not TFDS's own: it would import them.

    A module of that name may lie in the set itself.
    """
    for path in sorted(_below(folder, "features.json")):
        names = set(_named_classes(json.loads(path.read_text())))
        foreign = sorted(n for n in names if not n.startswith("tensorflow_datasets."))
        if foreign:
            raise ValueError(f"{foreign[0]!r} in {path.name}, no feature of TFDS's own")


def _below(folder: pathlib.Path, name: str) -> Iterator[pathlib.Path]:
    """Every file of that name, links to folders followed, as TFDS follows them."""
    seen = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(here)
        if place in seen:  # by another link, or a link to a folder that it lies in
            folders.clear()
            continue
        seen.add(place)
        if name in names:
            yield pathlib.Path(here, name)


def _named_classes(tree: Any) -> Iterator[str]:
    """Every text under a key that TFDS reads a class from."""
    if isinstance(tree, list):
        for part in tree:
            yield from _named_classes(part)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key in CLASS_KEYS and isinstance(value, str):
                yield value
            # Some features hold others as text.
            elif key == "json" and isinstance(value, str):
                yield from _named_classes(json.loads(value))
            else:
                yield from _named_classes(value)


def read(builder: Builder, image_size: tuple[int, int] | None, channels: int) -> Raw:
    """The images of a prepared set; decoded once, then from the cache.

    Raises:
        ValueError: if the set is damaged, has no images, has them in several sizes or
            more of them than fit, or is not what its name says.
    """
    folder = pathlib.Path(builder.data_dir)

    def decode() -> dict[str, np.ndarray]:
        log.info("tfds: decoding %s", folder)
        arrays = _decode(builder, image_size, channels)
        if builder.name in SHA256:
            as_they_are = image_size is None and channels == 0
            _verify(builder, arrays if as_they_are else _decode(builder, None, 0))
        return arrays

    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    fingerprint = decoded.fingerprint(str(folder), files, image_size, channels)
    counts = {
        f"{part}_images": builder.info.splits[name].num_examples
        for part, name in _parts(builder).items()
    }
    arrays = decoded.once(KIND, fingerprint, decode, counts)
    splits = {
        part: Split(arrays[f"{part}_images"], arrays.get(f"{part}_labels"))
        for part in tfds_records.PARTS
        if f"{part}_images" in arrays
    }
    return Raw(source(builder), **splits)


def _decode(
    builder: Builder, image_size: tuple[int, int] | None, channels: int
) -> dict[str, np.ndarray]:
    arrays = {}
    for part, name in _parts(builder).items():
        images, labels = tfds_records.split(builder, name, image_size, channels)
        arrays[f"{part}_images"] = images
        if labels is not None:
            arrays[f"{part}_labels"] = labels
    return arrays


def _parts(builder: Builder) -> dict[str, str]:
    """The splits that are parts and have images."""
    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    if not counts.get("train"):
        raise ValueError(
            f"{builder.data_dir}: must have a split named train, "
            f"got {', '.join(counts) or 'none'}"
        )
    parts = tfds_records.PARTS.items()
    return {part: name for part, name in parts if counts.get(name)}


def _verify(builder: Builder, arrays: dict[str, np.ndarray]) -> None:
    for part, wanted in SHA256[builder.name].items():
        keys = f"{part}_labels", f"{part}_images"
        columns = [arrays[k] for k in keys if k in arrays]
        rows = [c.reshape(len(c), -1).astype(np.uint8) for c in columns]
        content = sorted(map(bytes, np.hstack(rows))) if rows else []
        got = hashlib.sha256(b"".join(content)).hexdigest()
        if got != wanted:
            raise ValueError(
                f"{builder.data_dir}: must hold {builder.name}'s own {part} images and "
                f"labels, sha256 of their sorted rows {wanted}, got other data, "
                f"sha256 {got}"
            )
