"""The run directory."""

import json
import os
import subprocess

import jax
import pytest

from configs import base
from vae_jax import experiment, files

CONFIG = json.loads(base.get_config().to_json())


def test_new_run_directories_are_named_after_the_experiment_and_never_shared(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    first, second = (experiment.make_folder(None, "vae") for _ in range(2))
    assert first != second
    for folder in (first, second):
        assert folder.parent == tmp_path / "experiments"
        assert folder.name.startswith("vae_")
        assert folder.is_dir()


def test_a_run_of_the_same_config_is_accepted(tmp_path):
    folder = experiment.make_folder(str(tmp_path / "run"), "vae")
    experiment.describe(folder, CONFIG, {"train": "0"})
    experiment.check_folder(folder, CONFIG)
    assert files.read_json(folder / "config.json") == CONFIG


def test_a_run_of_another_config_is_refused_with_every_difference(tmp_path):
    experiment.describe(tmp_path, CONFIG, {})
    changed = json.loads(json.dumps(CONFIG))
    changed["loss"]["beta"], changed["seed"] = 4.0, 1
    with pytest.raises(ValueError, match="another config: ") as caught:
        experiment.check_folder(str(tmp_path), changed)
    assert "seed is 42 there, 1 here" in str(caught.value)
    assert "loss.beta is 1.0 there, 4.0 here" in str(caught.value)


def test_a_file_and_a_folder_with_something_else_are_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ValueError, match="must be a folder, got the file"):
        experiment.check_folder(str(path), CONFIG)
    with pytest.raises(ValueError, match=r"which has files but no config\.json"):
        experiment.check_folder(str(tmp_path), CONFIG)
    assert path.read_text() == "mine"


def test_a_run_with_links_out_of_it_is_refused_but_may_be_linked_itself(tmp_path):
    # A run of somebody else's could have any file of ours written to.
    run = tmp_path / "run"
    run.mkdir()
    experiment.describe(run, CONFIG, {})
    (tmp_path / "link").symlink_to(run)
    experiment.check_folder(tmp_path / "link", CONFIG)
    (run / "train.log").symlink_to(tmp_path / "mine.txt")
    (run / "samples").symlink_to(tmp_path)
    (run / "plots" / "growth").symlink_to(tmp_path)
    names = r"plots/growth, samples, train\.log; it may"
    with pytest.raises(ValueError, match=f"must hold no symbolic links, got {names}"):
        experiment.check_folder(run, CONFIG)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / ".lock").symlink_to(tmp_path / "mine.txt")
    with pytest.raises(ValueError, match=r"symbolic links, got \.lock"):
        experiment.check_folder(empty, CONFIG)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_config_that_is_not_json_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    error = r"config\.json: must be (a )?JSON.*; the same command with a new --workdir "
    with pytest.raises(ValueError, match=error):
        experiment.check_folder(str(tmp_path), CONFIG)


def test_what_a_process_left_that_was_killed_at_once_is_no_obstacle(tmp_path):
    (tmp_path / ".config.json.123").write_text("{")
    experiment.check_folder(str(tmp_path), CONFIG)


def shown(found):
    return f"elbo {found['elbo']}"


def test_a_run_is_finished_once_it_was_evaluated_after_its_last_epoch(tmp_path):
    assert experiment.finished(None, 3, 0, shown) is None
    assert experiment.finished(str(tmp_path), 3, 0, shown) is None
    files.write_json(tmp_path / "eval.json", {"trained_epochs": 3, "elbo": -1})
    assert experiment.finished(str(tmp_path), 3, 0, shown) == "elbo -1"
    assert experiment.finished(str(tmp_path), 4, 0, shown) is None


def test_a_run_is_finished_too_once_its_patience_was_spent(tmp_path):
    found = {"trained_epochs": 3, "epochs_since_best": 2, "elbo": -1}
    files.write_json(tmp_path / "eval.json", found)
    ended = {p: experiment.finished(str(tmp_path), 9, p, shown) for p in (0, 1, 2, 3)}
    assert ended == {0: None, 1: "elbo -1", 2: "elbo -1", 3: None}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\0\0", b'{"trained_epochs": 3}', b"[" * 5000, b"\xff"],
)
def test_a_damaged_evaluation_is_moved_aside_and_made_again(tmp_path, content, caplog):
    (tmp_path / "eval.json").write_bytes(content)
    assert experiment.finished(str(tmp_path), 3, 0, shown) is None
    assert [path.name for path in tmp_path.iterdir()] == ["eval_damaged.json"]
    assert (tmp_path / "eval_damaged.json").read_bytes() == content
    assert "eval.json: damaged: " in caplog.text
    assert "; moved to eval_damaged.json" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{}", b"[", b"\0\0", b"\xff[]"])
def test_a_damaged_record_of_environments_is_moved_aside(tmp_path, content, caplog):
    path = tmp_path / "environment.json"
    for attempt in ("environment_damaged.json", "environment_damaged_1.json"):
        path.write_bytes(content)
        experiment.record_environment(tmp_path, ["main.py"])
        assert (tmp_path / attempt).read_bytes() == content
        assert len(files.read_json(path)) == 1
        assert f"; moved to {attempt}" in caplog.text


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_damaged_sums_of_the_data_are_an_error_that_says_what_to_do(tmp_path, content):
    (tmp_path / "data.json").write_text(content)
    remedy = "; delete it if you know that the images are those with which the run"
    with pytest.raises(ValueError, match=r"data\.json: must be (a )?JSON") as caught:
        experiment.check_data(str(tmp_path), {"train": "a"})
    assert remedy in str(caught.value)


def test_code_below_the_checkout_of_something_else_is_of_no_commit(
    tmp_path, monkeypatch
):
    def git(*args):
        name = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", tmp_path, *name, *args], check=True)

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message=other")
    (tmp_path / "experiment.py").touch()
    monkeypatch.setattr(experiment, "__file__", str(tmp_path / "experiment.py"))
    nothing = {"git_commit": None, "git_uncommitted": None}
    assert experiment._checkout() == nothing
    git("add", "experiment.py")
    git("commit", "--quiet", "--message=ours")
    assert len(experiment._checkout()["git_commit"]) == 40


def test_a_workdir_that_is_not_utf_8_is_refused(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    with pytest.raises(
        ValueError, match=r"--workdir: must be UTF-8, got '.*/caf\\udce9"
    ):
        experiment.check_folder(name, {})


def test_the_environment_has_an_entry_for_each_process(tmp_path):
    experiment.record_environment(tmp_path, ["main.py", "a"])
    with jax.default_matmul_precision("bfloat16"):
        experiment.record_environment(tmp_path, ["main.py", "b"])
    entries = files.read_json(tmp_path / "environment.json")
    assert [entry["command"][1] for entry in entries] == ["a", "b"]
    assert entries[0]["versions"]["jax"]
    assert entries[0]["devices"]
    assert [e["matmul_precision"] for e in entries] == ["default", "bfloat16"]
