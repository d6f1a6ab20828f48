"""TFRecord files, whole and broken."""

import re
import struct

import pytest
from tfds_sets import frame

from vae_jax.data import tfrecord

RECORDS = [b"first", b"", bytes(100_000), b"last"]


def test_records_come_back_in_their_order(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"".join(map(frame, RECORDS)))
    assert list(tfrecord.records(path)) == RECORDS


def test_an_empty_file_has_no_records(tmp_path):
    path = tmp_path / "file"
    path.touch()
    assert list(tfrecord.records(path)) == []


WHOLE = frame(b"first") + frame(b"second")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (WHOLE[:-1], "5 of 6 bytes of record 1"),  # its checksum is not there
        (WHOLE[:-5], "1 of 6 bytes of record 1"),
        (WHOLE[: len(frame(b"first")) + 3], "its end in the header of record 1"),
        (
            struct.pack("<Q4x", 1 << 60) + WHOLE,
            f"{len(WHOLE) - 4} of {1 << 60} bytes of record 0",
        ),
        (None, "[Errno 2]"),
    ],
    ids=["checksum", "record", "header", "length", "absent"],
)
def test_a_file_that_ends_too_early_is_named_with_where(tmp_path, content, said):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        list(tfrecord.records(path))
    assert str(caught.value).startswith(f"{path}: must be a whole TFRecord file, got ")
