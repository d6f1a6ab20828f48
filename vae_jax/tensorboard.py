"""The rows of ``metrics.jsonl`` for TensorBoard as well, where that is wanted."""

import contextlib
import pathlib
import time
from typing import Any

from vae_jax import files

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
    """Adds the numbers of an epoch's rows, one file for each epoch.

    Raises:
        NotWritten: if that is not possible.
    """
    # Its SummaryWriter writes in a thread, for which it waits forever on a full disk.
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter
    from tensorboardX.summary import scalar

    events = [Event(file_version="brain.Event:2")]
    for row in rows:
        for name in row.keys() - WHERE:
            value = scalar(f"{name}/{row['split']}", row[name])
            events.append(Event(step=row["step"], summary=value))
    now = time.time()
    name = f"events.out.tfevents.{now:.0f}.{rows[0]['epoch']:05d}"
    files.make_folder(folder / FOLDER)
    with files.replacing(files.free_name(folder / FOLDER / name)) as temporary:
        with contextlib.closing(RecordWriter(str(temporary))) as writer:
            for event in events:
                event.wall_time = now
                writer.write(event.SerializeToString())
