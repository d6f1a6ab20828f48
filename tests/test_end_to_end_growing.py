"""Whole commands on models that grow, on the digits that come with the package."""

import json

import jax
import numpy as np
import pytest
from PIL import Image
from test_end_to_end import (
    EVERYTHING,
    assert_same_run,
    final_state,
    result,
    rows,
    stop_after,
)

import main
from vae_jax import assembly, checkpoint, pacing

# As users compile them, runs are resumed in test_end_to_end.py.
pytestmark = pytest.mark.usefixtures("unoptimised")
# Two stages, 4x4 and 8x8, of two epochs of five steps; the fade is steps 10 to 14.
SMALL = [
    "--config=configs/digits_mlp.py",
    "--config.data.limit=330",
    "--config.model.z_dim=3",
    "--config.model.start_res=4",
    "--config.model.final_res=8",
    "--config.model.base_ch=4",
    "--config.model.min_ch=2",
    "--config.train.epochs_per_stage=2",
    "--config.eval.pictures_every=3",
    "--config.loss.stage_loss_scale=area",
    *EVERYTHING,
]
MODELS = ["provae", "resprovae"]
WHAT = ("reconstructions", "samples")


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(main.ROOT)


def run(name, folder, *args):
    where = [f"--config.model.name={name}", f"--workdir={folder}"]
    return main.main(["main.py", *SMALL, *where, *args])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that was never interrupted, and its job."""
    found = {}

    def get(name):
        if name not in found:
            folder, build = tmp_path_factory.mktemp("whole") / "run", assembly.build

            def remember(*args):
                found[name] = folder, build(*args)
                return found[name][1]

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(assembly, "build", remember)
                assert run(name, folder) == 0
        return found[name]

    return get


def test_every_stage_and_epoch_starts_its_clock(tmp_path, monkeypatch):
    started = []
    for name in ("start_stage", "start_epoch"):
        start = getattr(pacing.Pace, name)

        def remember(pace, name=name, start=start):
            started.append(name)
            start(pace)

        monkeypatch.setattr(pacing.Pace, name, remember)
    epochs = "--config.train.epochs_per_stage=1,2"
    assert run("provae", tmp_path / "run", epochs) == 0
    # At the beginning, for each of two stages, and for the second epoch of the last.
    assert started == [*["start_stage", "start_epoch"] * 3, "start_epoch"]


@pytest.mark.parametrize("name", MODELS)
def test_a_run_shows_how_it_grew(name, whole):
    folder, _ = whole(name)
    plots = {path.name for path in (folder / "plots").iterdir()}
    of_stages = {f"{what}_stage{s}.png" for s in (0, 1) for what in WHAT}
    assert of_stages | {"growth", "growth.gif", "samples.png"} <= plots
    residual = {"residuals.png", "samples_coarse.png", "samples_finest.png"}
    assert residual & plots == (residual if name == "resprovae" else set())
    # Ends of the stages, and the third epoch.
    frames = sorted(path.name for path in (folder / "plots" / "growth").iterdir())
    assert frames == ["0002.png", "0003.png", "0004.png"]
    with Image.open(folder / "plots" / "growth.gif") as animation:
        assert animation.n_frames == 3
    log = (folder / "train.log").read_text()
    assert "epoch 3/4, stage 1/1, 8x8, alpha 1.00" in log


@pytest.mark.parametrize("name", MODELS)
def test_every_row_says_stage_resolution_and_alpha(name, whole):
    places = [(r["stage"], r["resolution"], r["alpha"]) for r in rows(whole(name)[0])]
    coarse, fine = (0, [4, 4], 1.0), (1, [8, 8], 1.0)  # a fade of one epoch is over
    assert places == [coarse] * 4 + [fine] * 4
    found = result(whole(name)[0])
    assert (found["stage"], found["resolution"], found["alpha"]) == fine


def test_the_kl_of_each_group_is_logged_as_far_as_there_are_groups(whole):
    for row in rows(whole("resprovae")[0]):
        groups = {k: v for k, v in row.items() if k.startswith("kl_group_")}
        assert set(groups) == {f"kl_group_{k}" for k in range(row["stage"] + 1)}
        # float32 sums in another order
        assert sum(groups.values()) == pytest.approx(row["kl"], rel=1e-5)
    numbers = result(whole("resprovae")[0])["numbers"]
    assert {"kl_group_0", "kl_group_1"} <= set(numbers)
    assert len(numbers["active_units"]["groups"]) == 2
    assert numbers["active_units"]["unit"] == "of 6 latents"


@pytest.mark.parametrize("name", MODELS)
def test_a_run_that_was_stopped_anywhere_ends_as_one_that_was_not(
    name, whole, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    # Exactly at the change, inside the fade, and inside the stage after it.
    for stop_at in (10, 12, 17):
        stop_after(stop_at, monkeypatch)
        assert run(name, folder) == 0
        assert final_state(folder)[0] == str(stop_at)
        assert not (folder / "eval.json").exists()
    monkeypatch.undo()
    monkeypatch.chdir(main.ROOT)
    assert run(name, folder) == 0
    assert_same_run(folder, whole(name)[0])


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_is_compiled_once_for_each_stage(name, whole):
    _, job = whole(name)
    assert [phase.run_steps._cache_size() for phase in job.phases] == [1, 1]


@pytest.mark.parametrize("name", MODELS)
def test_training_a_stage_leaves_later_ones_bit_for_bit(name, whole):
    folder, job = whole(name)
    begun = job.initial_state()
    with checkpoint.Checkpoints(folder) as saved:
        grown = saved.restore(10, begun)  # the end of the first stage

    def leaves(state, stage):
        return jax.tree.leaves(state.params["net"][f"stage_{stage}"])

    for old, new in zip(leaves(begun, 1), leaves(grown, 1), strict=True):
        np.testing.assert_array_equal(old, new)
    stages = leaves(begun, 0), leaves(grown, 0)
    assert any((a != b).any() for a, b in zip(*stages, strict=True))
    assert grown.opt_state["stage_0"].count == 10
    assert grown.opt_state["stage_1"].count == 0


@pytest.mark.parametrize("name", MODELS)
def test_a_finished_stage_can_be_evaluated_and_sampled(name, whole, capsys):
    folder, _ = whole(name)
    before = (folder / "eval.json").read_bytes()
    stage = ["main.py", f"--workdir={folder}", "--stage=0"]
    assert main.main([*stage, "--mode=eval"]) == 0
    found = json.loads((folder / "eval_stage0.json").read_text())
    assert (found["stage"], found["resolution"]) == (0, [4, 4])
    assert (found["step"], found["checkpoint"]) == (10, "stage 0")
    assert (folder / "plots" / "stage0" / "samples.png").exists()
    assert (folder / "report_stage0.html").exists()
    assert (folder / "eval.json").read_bytes() == before
    assert main.main([*stage, "--mode=sample", "--num=5"]) == 0
    images = np.load(folder / "samples" / "samples_5_seed0_stage0.npy")
    assert images.shape == (5, 4, 4, 1)
    assert (
        main.main(["main.py", f"--workdir={folder}", "--stage=2", "--mode=eval"]) == 2
    )
    message = "--stage: must be a finished one, 0, 1, got 2"
    assert message in capsys.readouterr().err
    file = folder / "checkpoints" / "10" / "state" / "_METADATA"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    assert main.main([*stage, "--mode=sample"]) == 2
    message = "checkpoints/10: damaged: its file 'state/_METADATA' has changed"
    assert message in capsys.readouterr().err
    file.write_bytes(content)


def test_a_stage_may_be_left_out(tmp_path):
    args = ["--config.train.epochs_per_stage=0,1", "--config.train.fadein_ratio=0"]
    assert run("provae", tmp_path / "run", *args) == 0
    places = [(r["stage"], r["alpha"]) for r in rows(tmp_path / "run")]
    assert places == [(1, 1.0)] * 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.final_res=12",
            "model.final_res: must be model.start_res, 4, times a power of two, got 12",
        ),
        (
            "model.final_res=4",
            "model.final_res: must be at least 8, the longer side of the images, got 4",
        ),
        (
            "model.min_ch=5",
            "model.min_ch: must be at most model.base_ch, 4, got 5",
        ),
        (
            "train.epochs_per_stage=1,2,3",
            "train.epochs_per_stage: must have 1 value, or one for each of 2 stages, "
            "got (1, 2, 3)",
        ),
        (
            "train.epochs_per_stage=1,0",
            "train.epochs_per_stage: must end with at least 1, got (1, 0)",
        ),
        (
            "data.batch_size=8,8,8",
            "data.batch_size: must have 1 value, or one for each of 2 stages, "
            "got (8, 8, 8)",
        ),
        (
            "optim.lr=1e-3,1e-3,1e-3",
            "optim.lr: must have 1 value, or one for each of 2 stages, "
            "got (0.001, 0.001, 0.001)",
        ),
        (
            "train.fadein_ratio=-0.1",
            "train.fadein_ratio: must be a number from 0 to 1, got -0.1",
        ),
        ("model.z_dim=1,2", "model.z_dim: must be a whole number or a tuple of 1, got"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_a_run_directory_is_made(
    override, message, tmp_path, capsys
):
    assert run("provae", tmp_path / "run", f"--config.{override}") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
