"""The user's own images in one ``.npz`` file."""

import itertools
import pathlib

import numpy as np

from vae_jax.data import npz, search
from vae_jax.data.dataset import Raw, Split, check_memory, rows_of, whole_labels
from vae_jax.data.parts import LABELS, PARTS, check_names, say_left_out

LABELS_OF = {"images": "labels", **{part: part + LABELS for part in PARTS}}
LAYOUTS = (
    "images [N, H, W] or [N, H, W, C], with labels [N] if there are any, and perhaps "
    "train, valid and test: the rows of each part; or train, valid and test with the "
    "images of each part themselves, and train_labels and so on"
)

FOR_MORE = "for more, np.save the images of each part for data.name=npy"


def load(path: str | None) -> Raw:
    """The parts that the file says there are; with none said, all is for training.

    Args:
        path: of the file. uint8 stays uint8, floats become float32, bool is black and
            white. Python objects are never unpickled.

    Raises:
        FileNotFoundError: if there is no such file.
        TypeError: if an array is of a wrong kind.
        ValueError: if the file is damaged, does not hold what it should, or does not
            call a part as it must.
    """
    file = search.place(path or "")
    if not path or not file.is_file():
        raise FileNotFoundError(
            f"data.path: must name an npz file for data.name=npz, got {path or ''!r}"
        )
    names = npz.names(file)
    check_names(str(file), names, LABELS)
    source = f"npz {file}"
    chosen = [part for part in PARTS if part in names]
    images = ["images"] if "images" in names else chosen
    used = {*chosen, *images, *(LABELS_OF[key] for key in images)}
    say_left_out("npz", str(file), [name for name in names if name not in used])
    check_memory(str(file), npz.size(file, images), FOR_MORE)
    if "images" in names:
        whole = _split(file, names, "images")
        if not chosen:
            return Raw(source, whole)
        rows = {part: _rows(file, len(whole.images), part) for part in chosen}
        _check_apart(file, rows)
        parts = {part: rows_of(whole, rows[part]) for part in chosen}
    else:
        parts = {part: _split(file, names, part) for part in chosen}
    if "train" not in parts:
        raise ValueError(f"{file}: must hold {LAYOUTS}; got {', '.join(names)}")
    return Raw(source, **parts)


def _split(file: pathlib.Path, names: tuple[str, ...], key: str) -> Split:
    images = _images(f"{file}: {key}", npz.read(file, (key,), max_bytes=None))
    labels_key = LABELS_OF[key]
    if labels_key not in names:
        return Split(images, None)
    labels = npz.read(file, (labels_key,))[labels_key]
    return Split(images, whole_labels(f"{file}: {labels_key}", labels, len(images)))


def _images(what: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    (images,) = arrays.values()
    if images.ndim not in (3, 4):
        raise ValueError(
            f"{what}: must be [N, H, W] or [N, H, W, C], got shape {images.shape}"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype == bool:
        return np.where(images, np.uint8(255), np.uint8(0))
    if images.dtype.kind == "f":
        with np.errstate(over="ignore"):  # infinity is refused later, by its name
            return images.astype(np.float32, copy=False)
    if images.dtype != np.uint8:
        raise TypeError(
            f"{what}: must be uint8, or float in [0, 1], or bool, got {images.dtype}"
        )
    return images


def _rows(file: pathlib.Path, count: int, part: str) -> np.ndarray:
    """Which of ``count`` images make a part."""
    rows = npz.read(file, (part,))[part]
    if rows.dtype.kind not in "iu" or rows.ndim != 1:
        raise TypeError(
            f"{file}: {part}: must be whole numbers [N], the rows of images that make "
            f"the part, got {rows.dtype} {rows.shape}"
        )
    if len(rows) and not (rows.min() >= 0 and rows.max() < count):
        raise ValueError(
            f"{file}: {part}: must be rows 0 to {count - 1} of images, "
            f"got {rows.min()} to {rows.max()}"
        )
    return rows


def _check_apart(file: pathlib.Path, rows: dict[str, np.ndarray]) -> None:
    for one, other in itertools.combinations(rows, 2):
        shared = np.intersect1d(rows[one], rows[other])
        if len(shared):
            raise ValueError(
                f"{file}: {one} and {other}: must have no row in common, "
                f"got {len(shared)}, the first {shared[0]}"
            )
