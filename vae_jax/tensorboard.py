"""The rows of ``metrics.jsonl`` for TensorBoard as well, where that is wanted."""

import pathlib
from typing import Any

FOLDER = "tensorboard"
WHERE = ("step", "epoch", "stage", "resolution", "split")


def check_installed() -> None:
    """Accepts an environment that can write TensorBoard's files.

    Raises:
        ValueError: if the package for it is missing.
    """
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "train.tensorboard: must be False without tensorboardX; "
            'pip install -e ".[tensorboard]"'
        ) from error


def write_rows(folder: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    """Adds the numbers of an epoch's rows, one file for each epoch."""
    import tensorboardX

    with tensorboardX.SummaryWriter(
        str(folder / FOLDER), filename_suffix=f".{rows[0]['epoch']:05d}"
    ) as writer:
        for row in rows:
            for name in row.keys() - WHERE:
                writer.add_scalar(f"{name}/{row['split']}", row[name], row["step"])
