"""Runs whose files are damaged, and runs whose disk fails them."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image
from test_checkpoint import at, initial
from test_checkpoint_damage import deleted, files_of, flipped, half
from test_end_to_end import final_state, pictures, result, rows, stop_after

import main
from vae_jax import checkpoint, checksums, files

# Three epochs of two steps; pictures after the second, and at the end.
TINY = [
    "--config=configs/digits_mlp.py",
    "--config.data.limit=130",
    "--config.data.batch_size=64",
    "--config.model.hidden_dim=8",
    "--config.model.z_dim=3",
    "--config.train.epochs=3",
    "--config.eval.pictures_every=2",
]
FULL = "No space left on device"


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(main.ROOT)


def run(folder, *args):
    return main.main(["main.py", *TINY, f"--workdir={folder}", *args])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(main.ROOT)
        assert run(folder) == 0
    return folder


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """The same run, stopped in the middle of its third epoch: steps 4 and 5."""
    folder = tmp_path_factory.mktemp("part") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(main.ROOT)
        stop_after(5, patch)
        assert run(folder) == 0
    return folder


@pytest.fixture
def copy(part, tmp_path):
    """Of the stopped run, to be damaged."""
    return shutil.copytree(part, tmp_path / "run")


def assert_same(folder, whole):
    assert rows(folder) == rows(whole)
    assert final_state(folder) == final_state(whole)
    assert result(folder) == result(whole)
    assert pictures(folder) == pictures(whole)


def assert_sound(folder):
    """No file is half of one, and no name is one of those that are still written."""
    for path in folder.rglob("*"):
        assert not re.search(r"^\.|orbax-checkpoint-tmp|\.stale$", path.name)
        if path.suffix == ".json":
            json.loads(path.read_text())
        if path.suffix == ".png":
            Image.open(path).load()
        if path.suffix == ".html":
            assert path.read_text().endswith("</html>\n")
        if path.suffix == ".npy":
            np.load(path)
    for path in folder.glob("checkpoints/*"):
        checksums.check(path)  # raises if it is damaged


@pytest.mark.parametrize("seed", range(2))
def test_a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before(
    seed, copy, whole, capfd
):
    rng = np.random.default_rng(seed)
    path = rng.choice(files_of(copy / "checkpoints" / "5" / "state"))
    [half, deleted, flipped][rng.integers(3)](path, seed)
    assert run(copy) == 0
    said = capfd.readouterr()
    name = path.relative_to(copy / "checkpoints" / "5")
    assert f"checkpoints/5: damaged: its file '{name}'" in said.out
    assert f"; moved to {copy / 'checkpoints_damaged' / '5'}" in said.out
    assert "going on from step 4" in said.out
    assert "Traceback" not in said.out + said.err
    assert_same(copy, whole)
    assert (copy / "checkpoints_damaged" / "5").is_dir()


def test_a_run_without_a_whole_checkpoint_is_refused_and_left_as_it_is(copy, capfd):
    for step in (4, 5):
        half(copy / "checkpoints" / str(step) / "meta" / "metadata", 0)
    before = {path: path.read_bytes() for path in files_of(copy / "checkpoints")}
    assert run(copy) == 2
    error = capfd.readouterr().err
    assert error.startswith("main.py: no checkpoint can be restored: ")
    for step in (5, 4):
        assert f"{copy / 'checkpoints' / str(step)}: damaged: its file " in error
    assert "Put back a copy of one, or train in another --workdir" in error
    assert "Traceback" not in error
    assert {p: p.read_bytes() for p in files_of(copy / "checkpoints")} == before
    assert not (copy / "checkpoints_damaged").exists()


def test_a_checkpoint_of_another_run_is_refused_and_not_mistaken_for_damage(
    copy, tmp_path, capfd
):
    with checkpoint.Checkpoints(tmp_path) as other:
        other.save(at(initial(), 9))
    shutil.copytree(tmp_path / "checkpoints" / "9", copy / "checkpoints" / "9")
    assert run(copy) == 2
    error = capfd.readouterr().err
    assert "checkpoints/9: must be of this config and version, but its state" in error
    assert "Traceback" not in error
    assert {path.name for path in (copy / "checkpoints").iterdir()} == {"4", "5", "9"}
    assert not (copy / "checkpoints_damaged").exists()


def test_in_place_of_a_damaged_best_checkpoint_the_latest_is_used(copy, capfd):
    command = ["main.py", "--mode=eval", f"--workdir={copy}"]
    command.append("--config.eval.extractor=none")
    assert main.main(command) == 0
    assert (result(copy)["checkpoint"], result(copy)["step"]) == ("best", 4)
    half(copy / "checkpoints" / "4" / "state" / "_METADATA", 0)
    capfd.readouterr()
    assert main.main(command) == 0
    assert (result(copy)["checkpoint"], result(copy)["step"]) == ("latest", 5)
    said = capfd.readouterr()
    assert "checkpoints/4: damaged: its file 'state/_METADATA' has changed; the" in (
        said.out
    )
    assert "Traceback" not in said.out + said.err
    assert (copy / "checkpoints" / "4").is_dir()  # who evaluates moves nothing


def test_files_that_can_be_made_again_do_not_stop_a_run(copy, whole, capfd):
    environment = (copy / "environment.json").read_bytes()
    (copy / "environment.json").write_bytes(environment[:100])
    (copy / "eval.json").write_text("{")
    first, *others = (copy / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "metrics.jsonl").write_bytes(b"".join([first, b"\0\xff\n", *others, b"{"]))
    (copy / "data.json").unlink()
    assert run(copy) == 0
    said = capfd.readouterr()
    assert "environment.json: damaged: " in said.out
    assert "eval.json: damaged: " in said.out
    assert "metrics.jsonl: no row in line 2, " in said.out
    assert "data.json is gone: nothing tells whether the run began with" in said.out
    assert "Traceback" not in said.out + said.err
    assert_same(copy, whole)
    assert (copy / "data.json").read_bytes() == (whole / "data.json").read_bytes()
    assert (copy / "environment_damaged.json").read_bytes() == environment[:100]


@pytest.mark.parametrize("name", ["config.json", "data.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"\0\0", b'{"seed": '])
def test_files_that_cannot_be_made_again_are_named_when_damaged(
    name, content, copy, capfd
):
    (copy / name).write_bytes(content)
    for command in (TINY, ["--mode=eval"]):
        assert main.main(["main.py", *command, f"--workdir={copy}"]) == 2
        error = capfd.readouterr().err
        assert f"{copy / name}: must be " in error
        assert "Traceback" not in error
    assert (copy / name).read_bytes() == content


def fail_at(number, monkeypatch):
    """Lets one write fail, of those that a run makes; returns what was written."""
    naming, written = files.naming, []

    def failing(path):
        written.append(path)
        if len(written) == number:
            raise files.NotWritten(f"{path}: cannot be written: {FULL}")
        return naming(path)

    monkeypatch.setattr(files, "naming", failing)
    return written


@pytest.mark.slow
def test_whatever_write_fails_the_same_command_ends_as_if_none_had(
    whole, tmp_path, monkeypatch, capfd
):
    with monkeypatch.context() as patch:
        written = fail_at(0, patch)
        assert run(tmp_path / "counted") == 0
    names = [path.name for path in written]
    assert names[-3:] == ["report.html", "eval_images.csv", "eval.json"]
    # Some write, a picture that training can do without, and when all but one is done.
    needed = [i for i, path in enumerate(written, 1) if "plots" not in path.parts]
    some = int(np.random.default_rng(0).choice(needed[2:]))
    for number in (some, 1 + names.index("samples_0002.png"), len(names) - 1):
        folder = tmp_path / str(number)
        with monkeypatch.context() as patch:
            path = folder / written[number - 1].relative_to(tmp_path / "counted")
            fail_at(number, patch)
            code = run(folder)
        said = capfd.readouterr()
        text = f"{path}: cannot be written: {FULL}"
        assert "Traceback" not in said.out + said.err
        assert_sound(folder)
        if path.name == "samples_0002.png":
            assert code == 0
            assert f"{text}; training goes on without" in said.out
            assert pictures(folder).items() < pictures(whole).items()
            continue
        assert code == 1
        assert said.err.startswith(f"main.py: {text}")
        assert run(folder) == 0
        assert_same(folder, whole)


def test_a_full_disk_is_an_error_and_once_there_is_room_the_run_ends_as_any(
    part, whole
):
    script = pathlib.Path(__file__).with_name("full_disk.py")
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no mount of one's own: {error}")
    command = [*alone, sys.executable, str(script), str(part), str(whole)]
    env = {**os.environ, "PYTHONPATH": str(main.ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Event loop" not in done.stdout + done.stderr
    assert "all is as it should be" in done.stdout


def test_a_run_directory_that_is_gone_is_an_error_and_not_made_anew(
    tmp_path, monkeypatch, capfd
):
    from vae_jax.run import training

    folder, end = tmp_path / "run", training.end_epoch

    def end_and_move(session, state, pace):
        shutil.move(folder, tmp_path / "moved")
        return end(session, state, pace)

    with monkeypatch.context() as patch:
        patch.setattr(training, "end_epoch", end_and_move)
        assert run(folder) == 1
    error = capfd.readouterr().err
    path = folder / "metrics.jsonl"
    assert f"{path}: cannot be written: No such file or directory. " in error
    assert f"{folder} is gone; if it was moved, name it with --workdir" in error
    assert not folder.exists()


def test_deleted_checkpoints_and_pictures_do_not_end_a_run(
    copy, whole, monkeypatch, capfd
):
    from vae_jax.run import training

    fit = training.fit

    def delete_and_fit(session, profile):
        state = training.restore_or_begin(session)
        shutil.rmtree(copy / "checkpoints")
        shutil.rmtree(copy / "plots")
        monkeypatch.setattr(training, "restore_or_begin", lambda _: state)
        return fit(session, profile)

    monkeypatch.setattr(training, "fit", delete_and_fit)
    assert run(copy) == 0
    assert (rows(copy), result(copy)) == (rows(whole), result(whole))
    assert final_state(copy) == final_state(whole)
    assert pictures(copy).keys() == {
        name for name in pictures(whole) if "_0002" not in name
    }


def test_samples_that_cannot_be_written_are_an_error_too(copy, monkeypatch, capfd):
    def refuse(path):
        reason = "Read-only file system"
        raise files.NotWritten(f"{path}: cannot be written: {reason}")

    monkeypatch.setattr(files, "naming", refuse)
    assert main.main(["main.py", "--mode=sample", f"--workdir={copy}"]) == 1
    error = capfd.readouterr().err
    assert re.fullmatch(
        rf"main\.py: {copy}/\S+: cannot be written: Read-only file system\n", error
    )


def test_how_to_go_on_is_said(copy, monkeypatch, capfd):
    from vae_jax.run import training

    def fail(session, state, pace):
        raise files.NotWritten(f"x: cannot be written: {FULL}")

    monkeypatch.setattr(training, "end_epoch", fail)
    assert run(copy) == 1
    assert capfd.readouterr().err == (
        f"main.py: x: cannot be written: {FULL}. Saved up to step 5. Once this is "
        f"mended, to go on: python main.py --workdir={copy}\n"
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 8 TiB"),
        jax.errors.JaxRuntimeError(
            "RESOURCE_EXHAUSTED: Out of memory allocating 8 TiB"
        ),
    ],
)
def test_too_little_memory_is_said_with_what_may_help(error, copy, monkeypatch, capfd):
    from vae_jax.run import training

    def fail(session, profile):
        raise error

    monkeypatch.setattr(training, "fit", fail)
    assert run(copy) == 1
    message = capfd.readouterr().err
    text = "main.py: out of memory; more train.microbatches, train.remat, "
    assert message.startswith(text)
    assert str(error) in message
