"""``eval_images.csv``: what the means of ``eval.json`` are taken over, image by image.

Two models see the same test images. The mean of their differences is known far better
than the difference of their means, as most of the spread is that of the images.
"""

import csv
import io
import pathlib

import numpy as np
from jaxtyping import Float, Int

from vae_jax import files

# Name to a value for each test image, masked where it was not measured.
Columns = dict[str, Float[np.ndarray, " N"]]


def file_name(suffix: str = "") -> str:
    """Of the file that belongs to ``eval{suffix}.json``."""
    return f"eval_images{suffix}.csv"


def of_some(
    values: Float[np.ndarray, " M"], rows: Int[np.ndarray, " M"], num: int
) -> Float[np.ndarray, " N"]:
    """A column for all of ``num`` images, masked but for those in ``rows``."""
    column = np.ma.masked_all(num, np.float32)
    column[rows] = values
    return column


def write(path: pathlib.Path, columns: Columns) -> None:
    """One line for each test image, in the order of the data set.

    Values are exact in float32. Those that were not measured are empty.

    Raises:
        NotWritten: if that is not possible.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *columns])
    for image, values in enumerate(zip(*columns.values(), strict=True)):
        cells = ("" if v is np.ma.masked else f"{v:.9g}" for v in values)
        writer.writerow([image, *cells])
    files.write_text(path, text.getvalue())


def read(path: pathlib.Path) -> Columns:
    """The columns, masked where a line has no value.

    Raises:
        ValueError: if the file is not what ``write`` leaves.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            head, *lines = list(csv.reader(file)) or [[]]
        if head[:1] != ["image"] or len(set(head)) < len(head):
            raise ValueError(f"the header {head!r:.80}")
        for number, line in enumerate(lines):
            if len(line) != len(head) or line[0] != str(number):
                raise ValueError(f"{line!r:.80} in line {number + 2}")
        values = [[float(cell or 0) for cell in line[1:]] for line in lines]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: must be what --mode=eval writes, got {error}") from (
            error
        )
    missing = [[not cell for cell in line[1:]] for line in lines]
    table = np.ma.array(values, float, mask=missing).reshape(len(lines), len(head) - 1)
    return dict(zip(head[1:], table.T, strict=True))
