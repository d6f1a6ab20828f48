"""``--profile``: a run that shows where its time goes, and is the same run."""

import re

import pytest

import main
from vae_jax import profiler
from vae_jax.run import final, profiling

SMALL = ["train.epochs=2", "data.limit=132", "data.batch_size=4", "model.hidden_dim=8"]
SMALL += ["eval.pictures_every=0"]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(main.ROOT)
    monkeypatch.setattr(final, "finish", lambda *_: None)  # the state is saved by then


def train(folder, *args):
    flags = [f"--config.{field}" for field in SMALL]
    config = ["main.py", "--config=configs/digits_mlp.py", f"--workdir={folder}"]
    assert main.main([*config, *flags, *args]) == 0
    last = max((folder / "checkpoints").iterdir(), key=lambda path: int(path.name))
    return last.name, (last / "meta" / "metadata").read_text()


def test_a_profile_is_written_and_shown_and_changes_nothing(
    tmp_path, monkeypatch, capsys
):
    plain = train(tmp_path / "plain")
    assert not (tmp_path / "plain" / "profile").exists()
    # Three pieces of one, one and two steps at least, however slow the machine is.
    monkeypatch.setattr(profiling, "PIECE", 3)
    folder = tmp_path / "run" / "profile"
    capsys.readouterr()
    assert train(tmp_path / "run", "--profile") == plain
    text = (folder / "step_3.txt").read_text()
    assert text in capsys.readouterr().out
    assert re.match(
        r"profile of steps 3 to [34]: .* ms a step, .* in operations\n", text
    )
    assert "backward  Decoder/" in text
    assert "other     update/" in text
    assert list((folder / "plugins" / "profile" / "step_3").glob("*.xplane.pb"))
    assert sorted(path.name for path in folder.iterdir()) == ["plugins", "step_3.txt"]


def test_a_run_that_is_too_short_for_a_profile_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(profiling, "PIECE", 10**6)
    train(tmp_path / "run", "--profile")
    said = "--profile: training was too short for a trace of steps"
    assert said in capsys.readouterr().out
    train(tmp_path / "other")
    assert said not in capsys.readouterr().out


def test_training_goes_on_without_a_profile_that_cannot_be_made(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(profiling, "PIECE", 2)
    other = profiler.Trace(tmp_path, "other")
    other.start()
    try:
        train(tmp_path / "run", "--profile")
    finally:
        other.abandon()
    said = "step_2: cannot be written: Profile has already been started. Only one"
    assert said in (out := capsys.readouterr().out)
    assert "training goes on without" in out
    assert not list((tmp_path / "run" / "profile").iterdir())


def test_what_ends_training_ends_the_trace(tmp_path, monkeypatch):
    monkeypatch.setattr(profiling, "PIECE", 1)
    look = profiling.Profile(tmp_path, wanted=True)
    for error in (MemoryError, KeyboardInterrupt):  # the second needs the first's end
        with pytest.raises(error), look.around(stage=0, done=0, steps=1):
            raise error
        look = profiling.Profile(tmp_path, wanted=True)
    assert not list((tmp_path / "profile").iterdir())


def test_every_stage_is_looked_at_once(tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(profiling.Profile, "_begun", lambda _, done: begun.append(done))
    look = profiling.Profile(tmp_path, wanted=True)
    for stage in (0, 1):
        for piece in range(2 * profiling.PIECE):
            with look.around(stage, 100 * stage + piece, 1):
                pass
    assert begun == [profiling.PIECE - 1, 100 + profiling.PIECE - 1]
