"""Images that stay in their files: rows of arrays on a disk, read when asked for.

The operating system keeps what was read for as long as there is room, and no longer: a
set may be many times larger than memory.
"""

import math
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

BLOCK_BYTES = 2**24  # that are looked at in one go, of what need not be held as a whole


class Mapped:
    """Images ``[N, H, W, C]`` of several files as if of one array.

    An index, as one of numpy's for the first axis, reads the images and gives an array.
    Of each image, only the number of its row is in memory.
    """

    def __init__(
        self, files: Sequence[np.memmap], rows: Int[np.ndarray, " N"] | None = None
    ):
        """The images of ``rows``, counted over all files; without rows, every one."""
        self._files = tuple(files)
        self._ends = np.cumsum([len(file) for file in files])
        self.rows = np.arange(self._ends[-1]) if rows is None else rows
        self.dtype = files[0].dtype
        self.shape = (len(self.rows), *files[0].shape[1:])
        self.ndim = len(self.shape)
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize

    @property
    def paths(self) -> list[pathlib.Path]:
        """Of the files, in their order."""
        return [pathlib.Path(file.filename) for file in self._files]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice | np.ndarray | tuple) -> np.ndarray:
        if isinstance(index, tuple):
            raise TypeError(f"images: must be indexed by one number, got {index}")
        rows = np.asarray(self.rows[index])
        images = np.empty((rows.size, *self.shape[1:]), self.dtype)
        places = self._read(rows.ravel(), images)
        return images[places].reshape(*rows.shape, *self.shape[1:])

    def __array__(self, *_, **__):
        raise TypeError(
            f"images: must be read in parts, got a use of all {len(self)} at once"
        )

    def only(self, index: slice | Int[np.ndarray, " M"]) -> "Mapped":
        """Some of the images, in this order; nothing is read."""
        return Mapped(self._files, self.rows[index])

    def read(
        self, index: Int[np.ndarray, " M"], out: UInt8[np.ndarray, "M H W C"]
    ) -> Int[np.ndarray, " M"]:
        """See ``read``."""
        return self._read(self.rows[index], out)

    def _read(self, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        by_place = np.argsort(rows, kind="stable")
        rows = rows[by_place]
        cuts = [0, *np.searchsorted(rows, self._ends)]
        for number, file in enumerate(self._files):
            some = slice(cuts[number], cuts[number + 1])
            begin = self._ends[number] - len(file)
            np.take(file, rows[some] - begin, axis=0, out=out[some], mode="clip")
        return _inverse(by_place)


Images = np.ndarray | Mapped


def read(
    images: Images, rows: Int[np.ndarray, " M"], out: np.ndarray
) -> Int[np.ndarray, " M"]:
    """Copies images into ``out`` in the order in which they are stored.

    Disks and caches are at their best that way. Returns where in ``out`` each of
    ``rows`` is.
    """
    if isinstance(images, Mapped):
        return images.read(rows, out)
    by_place = np.argsort(rows, kind="stable")
    # In numpy, any other mode than "raise" writes straight into ``out``.
    np.take(images, rows[by_place], axis=0, out=out, mode="clip")
    return _inverse(by_place)


def only(images: Images, rows: slice | Int[np.ndarray, " M"]) -> Images:
    """Some of the images, in this order; those in files stay there."""
    return images.only(rows) if isinstance(images, Mapped) else images[rows]


def blocks(images: Images) -> Iterator[np.ndarray]:
    """The images in order, so many at a time that they take little memory."""
    size = max(1, BLOCK_BYTES * len(images) // max(1, images.nbytes))
    for start in range(0, len(images), size):
        yield images[start : start + size]


def mean(images: Images) -> Float[np.ndarray, "H W C"]:
    """Of the images as they are stored, in float64."""
    sums = (block.sum(axis=0, dtype=np.float64) for block in blocks(images))
    return sum(sums) / len(images)


def _inverse(order: Int[np.ndarray, " M"]) -> Int[np.ndarray, " M"]:
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places
