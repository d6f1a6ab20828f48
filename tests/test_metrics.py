"""The rows of a run."""

import pytest

from vae_jax import metrics

ROWS = [{"step": step, "epoch": step, "split": "train"} for step in (1, 2, 3)]
NAME = "metrics.jsonl"


@pytest.fixture
def folder(tmp_path):
    for row in ROWS:
        metrics.append_row(tmp_path, row)
    return tmp_path


def expected(*epochs):
    return {(epoch, "train") for epoch in epochs}


def test_rows_come_back_and_numbers_that_are_not_finite_are_null(tmp_path):
    assert metrics.read_rows(tmp_path) == []
    metrics.append_row(tmp_path, {"step": 1, "loss": 2.5})
    metrics.append_row(tmp_path, {"step": 2, "loss": float("nan")})
    rows = [{"step": 1, "loss": 2.5}, {"step": 2, "loss": None}]
    assert metrics.read_rows(tmp_path) == rows


def test_rows_after_the_step_of_a_checkpoint_are_dropped(folder, caplog):
    metrics.append_row(folder, {"step": 2, "split": "valid"})
    metrics.go_on_after(folder, 2, expected(1, 2))
    assert [row["step"] for row in metrics.read_rows(folder)] == [1, 2, 2]
    assert caplog.text == ""


@pytest.mark.parametrize("cut", [9, 20, 40])
def test_what_a_killed_process_left_of_a_row_is_dropped_without_a_word(
    folder, cut, caplog
):
    whole = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(whole + whole[:cut])
    assert metrics.read_rows(folder) == ROWS
    metrics.go_on_after(folder, 3, expected(1, 2, 3))
    assert (folder / NAME).read_bytes() == whole
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert caplog.text == ""


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b'{"epoch": 2}',
        b"5",
        b"null",
        b"\xff\0",
        b'{"step": "2"}',
        b"[" * 9999,
    ],
    ids=["garbage", "no step", "number", "null", "bytes", "text", "deep"],
)
def test_a_line_that_is_no_row_is_left_out_said_and_kept_in_a_copy(
    folder, line, caplog
):
    first, _, third = (folder / NAME).read_bytes().splitlines(keepends=True)
    damaged = first + line + b"\n" + third
    (folder / NAME).write_bytes(damaged)
    assert metrics.read_rows(folder) == [ROWS[0], ROWS[2]]
    metrics.go_on_after(folder, 3, expected(1, 2, 3))
    assert (folder / NAME).read_bytes() == first + third
    assert (folder / "metrics_damaged.jsonl").read_bytes() == damaged
    said = "no row in line 2, which is left out; a copy is in metrics_damaged.jsonl"
    assert said in caplog.text
    assert "rows of these epochs are lost: 2\n" in caplog.text


def test_rows_that_are_gone_are_said(folder, caplog):
    (folder / NAME).unlink()
    metrics.go_on_after(folder, 3, expected(1, 2, 3))
    assert "metrics.jsonl: rows of these epochs are lost: 1, 2, 3" in caplog.text
    assert metrics.read_rows(folder) == []


def test_a_file_of_zeros_is_kept_in_a_copy(folder, caplog):
    (folder / NAME).write_bytes(bytes(100))
    metrics.go_on_after(folder, 3)
    assert (folder / "metrics_damaged.jsonl").read_bytes() == bytes(100)
    assert "no row in line 1" in caplog.text


def test_the_log_of_a_run_that_has_lost_its_checkpoints_is_kept_in_a_copy(
    folder, caplog
):
    before = (folder / NAME).read_bytes()
    metrics.go_on_after(folder, 0)
    assert metrics.read_rows(folder) == []
    assert (folder / "metrics_damaged.jsonl").read_bytes() == before
    assert "begins anew; a copy is in metrics_damaged.jsonl" in caplog.text


def test_an_epoch_that_was_logged_and_not_saved_is_dropped_without_a_word(
    tmp_path, caplog
):
    metrics.append_row(tmp_path, ROWS[0])
    metrics.go_on_after(tmp_path, 0)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert caplog.text == ""
