"""TensorBoard's files."""

import sys

import pytest

from vae_jax import files, tensorboard


def test_every_number_of_an_epoch_is_written(tmp_path):
    tensorboardx = pytest.importorskip("tensorboardX")
    event_pb2 = tensorboardx.proto.event_pb2
    where = {"step": 20, "epoch": 2, "stage": 0, "resolution": [4, 4]}
    rows = [
        {**where, "split": "train", "elbo": -3.0, "lr": 0.5},
        {**where, "split": "valid", "elbo": -4.0},
    ]
    tensorboard.write_rows(tmp_path, rows)
    (path,) = (tmp_path / "tensorboard").iterdir()
    content, found = path.read_bytes(), {}
    while content:  # records of length, its checksum, data, its checksum
        size = int.from_bytes(content[:8], "little")
        event = event_pb2.Event.FromString(content[12 : 12 + size])
        content = content[16 + size :]
        for value in event.summary.value:
            found[value.tag] = event.step, value.simple_value
    assert found == {
        "elbo/train": (20, -3.0),
        "lr/train": (20, 0.5),
        "elbo/valid": (20, -4.0),
    }


def test_a_full_disk_is_an_error_at_once_and_leaves_no_file(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    from tensorboardX import record_writer

    # Every write fails, as on a full disk.
    monkeypatch.setattr(
        record_writer, "open_file", lambda _: open("/dev/full", "wb", 0)
    )
    row = {"step": 20, "epoch": 2, "split": "train", "elbo": -3.0}
    with pytest.raises(files.NotWritten, match="00002: cannot be written: No space"):
        tensorboard.write_rows(tmp_path, [row])
    assert list((tmp_path / "tensorboard").iterdir()) == []


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ValueError, match=r"train\.tensorboard: must be False without"):
        tensorboard.check_installed()
