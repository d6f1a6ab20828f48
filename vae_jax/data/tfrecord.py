"""TFRecord files, TFDS's usual format, without TensorFlow.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format
details".
"""

import os
import pathlib
import struct
from collections.abc import Iterator

HEADER = struct.Struct("<Q4x")  # the record's length and that length's checksum
CHECKSUM_BYTES = 4  # of the record, behind it


def records(path: pathlib.Path) -> Iterator[bytes]:
    """The records of a file, in its order.

    Checksums are not verified: CRC-32C in Python would take longer than all the rest.

    Raises:
        ValueError: if the file cannot be read, or ends within a record.
    """
    try:
        with path.open("rb") as file:
            yield from _records(file, os.fstat(file.fileno()).st_size)
    except (OSError, EOFError) as error:
        raise ValueError(
            f"{path}: must be a whole TFRecord file, got {error}"
        ) from error


def _records(file, size: int) -> Iterator[bytes]:
    count = 0
    while file.tell() < size:
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            raise EOFError(f"its end in the header of record {count}")
        (length,) = HEADER.unpack(header)
        left = size - file.tell() - CHECKSUM_BYTES
        # Before that much memory is asked for.
        if length > left:
            raise EOFError(f"{left} of {length} bytes of record {count}")
        yield file.read(length)
        file.seek(CHECKSUM_BYTES, os.SEEK_CUR)
        count += 1
