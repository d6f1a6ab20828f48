"""Files that are whole or not there."""

import errno
import os
import shutil
import time

import pytest

from vae_jax import files


def test_a_file_is_replaced_when_its_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path, error):
    with files.replacing(path) as temporary:
        temporary.write_text("ne")
        raise error


def test_a_file_that_cannot_be_written_is_named_and_left_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    error = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))  # names no file
    with pytest.raises(files.NotWritten) as caught:
        write_half(path, error)
    assert str(caught.value) == f"{path}: cannot be written: Disk quota exceeded"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_another_kind_is_passed_on_and_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        write_half(tmp_path / "a.txt", KeyError("other"))
    assert list(tmp_path.iterdir()) == []


def test_what_is_named_once_is_not_named_again(tmp_path):
    inner = tmp_path / "gone" / "a.txt"
    with (
        pytest.raises(files.NotWritten) as caught,
        files.naming(tmp_path),
        files.naming(inner),
    ):
        inner.write_text("a")
    reason = "No such file or directory"
    assert str(caught.value) == f"{inner}: cannot be written: {reason}"


def test_a_folder_is_made_once_and_not_in_one_that_is_gone(tmp_path):
    for _ in range(2):
        files.make_folder(tmp_path / "a")
    with pytest.raises(files.NotWritten, match="b: cannot be written: No such file"):
        files.make_folder(tmp_path / "gone" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_name_is_free_even_where_a_link_leads_nowhere(tmp_path):
    path = tmp_path / "a.txt"
    assert files.free_name(path) == path
    path.symlink_to(tmp_path / "nowhere")
    (tmp_path / "a_1.txt").touch()
    assert files.free_name(path) == tmp_path / "a_2.txt"
    assert files.name_aside(path) == tmp_path / "a_damaged.txt"


def test_what_killed_processes_left_is_cleared_and_nothing_else(tmp_path):
    kept = [".lock", ".hidden", "a.1", "samples/.b.png.1", "plots/c.png"]
    left = [".a.json.123", "plots/.c.png.4", "plots/growth/.0001.png.56"]
    for name in [*kept, *left]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files.clear(tmp_path)
    found = [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()]
    assert sorted(map(str, found)) == sorted(kept)


def test_json_that_cannot_be_written_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "eval.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"a": object()})
    assert files.read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["eval.json"]


def test_numbers_that_are_not_finite_are_null_in_json(tmp_path):
    nested = {"a": {"b": [float("inf"), 1.0]}}
    files.write_json(tmp_path / "eval.json", nested)
    assert files.read_json(tmp_path / "eval.json") == {"a": {"b": [None, 1.0]}}


def test_a_folder_that_is_still_written_to_is_removed_in_the_end(tmp_path, monkeypatch):
    folder, remove, left = tmp_path / "folder", shutil.rmtree, [2, 1]
    folder.mkdir()

    def remove_and_write(path, **options):
        remove(path, **options)
        if left:
            folder.mkdir()
            (folder / f"late_{left.pop()}").write_text("more")

    monkeypatch.setattr(shutil, "rmtree", remove_and_write)
    files.remove_folder(folder)
    assert not folder.exists()
    assert not left


def pauses_after_which(folder, monkeypatch, is_back):
    """Lengths of pauses so far; the folder is made, and again after some of them."""
    folder.mkdir()
    pauses = []

    def write_late(seconds):
        pauses.append(seconds)
        if len(pauses) in is_back:
            folder.mkdir()
            (folder / "late").write_text("more")

    monkeypatch.setattr(time, "sleep", write_late)
    return pauses


def test_a_folder_is_removed_once_it_was_gone_for_a_second(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    pauses = pauses_after_which(folder, monkeypatch, is_back={5, 24})
    files.remove_folder(folder)
    assert not folder.exists()
    assert sum(pauses[24:]) == pytest.approx(1, abs=0.1)  # a pause or two of 0.05 s


def test_a_folder_that_comes_back_for_ever_is_given_up_after_ten_seconds(
    tmp_path, monkeypatch
):
    folder = tmp_path / "folder"
    pauses = pauses_after_which(folder, monkeypatch, is_back=range(1000))
    files.remove_folder(folder)
    assert sum(pauses) == pytest.approx(10)
