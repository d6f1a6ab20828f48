"""Steps that went wrong, and steps computed again."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from test_end_to_end import EVERYTHING, TIMES, run
from test_end_to_end_growing import SMALL as GROWING

import main
from vae_jax import assembly, schedules


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(main.ROOT)


def replay(folder, step):
    command = ["main.py", "--mode=replay", f"--workdir={folder}", f"--step={step}"]
    assert main.main(command) == 0
    return json.loads((folder / f"step_{step}.json").read_text())


def rows(folder):
    return list(map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()))


def test_a_step_that_is_replayed_has_the_very_numbers_of_training(tmp_path, capfd):
    folder = tmp_path / "run"
    assert run("digits_mlp", f"--workdir={folder}", *EVERYTHING) == 0
    capfd.readouterr()
    found = [replay(folder, step) for step in range(11, 16)]
    out = capfd.readouterr().out
    assert out.count("from the state after step 10") == 5
    row = next(r for r in rows(folder) if (r["epoch"], r["split"]) == (3, "train"))
    for name in ("recon", "kl", "elbo"):
        total = np.float32(0)
        for step in found:  # as the loop adds them up
            total += np.float32(step["terms"][name]["mean"])
        assert float(total) / 5 == row[name]
    assert all(step["first_not_finite"] is None for step in found)
    assert {len(step["rows"]) for step in found} == {64}
    assert all(step["lr"] == row["lr"] for step in found)


@pytest.mark.slow
def test_a_step_in_the_middle_of_a_fade_is_replayed(tmp_path, capfd):
    # The third epoch is of one step, the second of the run's second stage.
    folder = tmp_path / "run"
    one_step = ["--config.data.batch_size=64,330", "--config.train.fadein_ratio=1"]
    where = ["--config.model.name=resprovae", f"--workdir={folder}"]
    assert main.main(["main.py", *GROWING, *one_step, *where]) == 0
    capfd.readouterr()
    found = replay(folder, 12)
    out = capfd.readouterr().out
    assert "from the state after step 11" in out
    assert "Step 12 (epoch 4, batch 1, stage 1/1, alpha 0.50, learning rate " in out
    row = next(r for r in rows(folder) if (r["epoch"], r["split"]) == (4, "train"))
    assert found["terms"].keys() == {"recon", "kl", "elbo", "kl_group_0", "kl_group_1"}
    for name, term in found["terms"].items():
        assert term["mean"] == row[name]
    assert len(found["rows"]) == 330


def test_a_step_is_replayed_from_the_seed_where_no_checkpoint_is_early_enough(
    tmp_path, capfd
):
    folder = tmp_path / "run"
    assert run("digits_mlp", f"--workdir={folder}", *EVERYTHING) == 0
    before = sorted(path.name for path in (folder / "checkpoints").iterdir())
    found = replay(folder, 1)
    out = capfd.readouterr().out
    assert "from the state after step 0" in out
    assert "Step 1 (epoch 1, batch 1, learning rate " in out
    assert "all is finite" in out
    assert found["sigma"] == pytest.approx(1.0)  # where the learned one starts
    largest = max(found["gradient_norms"].values())
    assert largest <= found["gradient_norm"] <= sum(found["gradient_norms"].values())
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == before
    command = ["main.py", "--mode=replay", f"--workdir={folder}", "--step=16"]
    assert main.main(command) == 2
    assert "--step: must be from 1 to 15, got 16" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("recon", "scale", "shown"),
    [("laplace", {"scale": 0.5}, "beta 1, scale 0.5):"), ("bce", {}, "beta 1):")],
)
def test_the_one_scale_of_all_pixels_is_replayed_if_there_is_one(
    recon, scale, shown, tmp_path, capfd
):
    folder = tmp_path / "run"
    options = [f"--config.loss.recon={recon}", "--config.loss.sigma=0.5"]
    assert run("digits_mlp", f"--workdir={folder}", *options) == 0
    found = replay(folder, 1)
    assert {of: found[of] for of in ("sigma", "scale") if of in found} == scale
    assert shown in capfd.readouterr().out


def test_a_damaged_checkpoint_is_passed_over_by_a_replay(tmp_path, capfd):
    folder = tmp_path / "run"
    assert run("digits_mlp", f"--workdir={folder}") == 0
    whole = replay(folder, 12)
    largest = max(
        (p for p in (folder / "checkpoints" / "10").rglob("*") if p.is_file()),
        key=lambda path: path.stat().st_size,
    )
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    largest.write_bytes(content)
    assert "from the state after step 10" in capfd.readouterr().out
    assert replay(folder, 12) == whole
    out = capfd.readouterr().out
    assert "an earlier state is used" in out
    assert "from the state after step 0" in out


def test_a_learning_rate_that_is_far_too_high_stops_the_run_with_what_happened(
    tmp_path, capfd
):
    folder = tmp_path / "run"
    args = [f"--workdir={folder}", "--config.train.max_bad_steps=3"]
    assert run("digits_mlp", *args, "--config.optim.lr=1e3") == 1
    out = capfd.readouterr().out
    assert "3 steps in a row had a loss or a gradient that is not finite" in out
    assert "Step 4 (epoch 1, batch 4, learning rate 1000, beta 1)" in out
    # The log-variance is so large that its exponential overflows.
    assert "The first that was not: terms/kl, for 64 of 64 images" in out
    found = json.loads((folder / "step_4.json").read_text())
    assert found["skipped"]
    assert found["posterior"]["0/logvar"]["highest"] > 88  # of exp in float32
    assert found["terms"]["kl"]["not_finite"] == 64
    assert sorted(found["images_not_finite"]) == sorted(found["rows"])
    assert replay(folder, 4) == found
    assert replay(folder, 1)["first_not_finite"] is None


def test_a_run_without_one_good_step_fails_however_short_it_is(tmp_path, capfd):
    args = [f"--workdir={tmp_path / 'run'}", "--config.train.max_bad_steps=1000"]
    assert run("digits_mlp", *args, "--config.loss.beta=9e29") == 1
    out = capfd.readouterr().out
    assert "15 steps in a row had a loss or a gradient that is not finite" in out
    assert "Stopped at step 15" in out
    # Nor has it once more, though there is no step left to take.
    assert run("digits_mlp", *args, "--config.loss.beta=9e29") == 1
    assert "Stopped at step 15" in capfd.readouterr().out
    assert not (tmp_path / "run" / "eval.json").exists()
    assert [r["epoch"] for r in rows(tmp_path / "run")] == [1, 1, 2, 2, 3, 3]


def test_a_fault_that_is_injected_is_found_where_it_was(tmp_path, capfd, monkeypatch):
    make = schedules.make_schedule

    def with_fault(*args, **fields):
        def schedule(hparams, step):
            beta = jnp.where(step < 7, hparams.beta, jnp.nan)
            return make(*args, **fields)(hparams, step)._replace(beta=beta)

        return schedule

    monkeypatch.setattr(schedules, "make_schedule", with_fault)
    folder = tmp_path / "run"
    args = [f"--workdir={folder}", "--config.train.max_bad_steps=3"]
    assert run("digits_mlp", *args) == 1
    out = capfd.readouterr().out
    assert "Stopped at step 10" in out
    assert "not finite are loss, gradient_norm" in out
    assert "The first that was not: numbers/beta" in out
    assert replay(folder, 7)["first_not_finite"] is None
    found = replay(folder, 8)
    assert found["first_not_finite"] == "numbers/beta"
    assert found["images_not_finite"] == []
    # Stopped, it stays so: its next steps would be no better.
    assert main.main(["main.py", f"--workdir={folder}"]) == 1


def test_a_poisoned_image_is_skipped_counted_and_named(tmp_path, capfd, monkeypatch):
    load = assembly.load_data

    def poisoned(config):
        dataset = load(config)
        images = dataset.train.images.astype(np.float32) / 255
        images[17, 3, 3] = np.nan
        return dataset._replace(train=dataset.train._replace(images=images))

    monkeypatch.setattr(assembly, "load_data", poisoned)
    folder = tmp_path / "run"
    assert run("digits_mlp", f"--workdir={folder}") == 0
    last = [row for row in rows(folder) if row["split"] == "train"][-1]
    assert 1 <= last["bad_steps"] <= 3  # once an epoch, unless in its ragged tail
    log = (folder / "train.log").read_text()
    assert f"not finite; the last: {last['last_bad_step']}" in log
    found = replay(folder, last["last_bad_step"])
    assert found["skipped"]
    assert found["first_not_finite"] == "images"
    assert found["images_not_finite"] == [17]
    assert found["terms"]["recon"]["not_finite"] >= 1
    assert replay(folder, last["last_bad_step"] - 1)["first_not_finite"] is None
    assert all(
        np.isfinite(last[name])
        for name in last.keys() - {*TIMES, "split"}
        if not isinstance(last[name], list)
    )
