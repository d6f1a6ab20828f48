"""What the doctor prints, and that it leaves nothing behind."""

import numpy as np
from known_images import CONFIGS

import main
from configs import digits_mlp
from vae_jax import likelihoods
from vae_jax.run import costs, doctor, forecast


def doctor_says(capfd, tmp_path, monkeypatch, name, *fields):
    monkeypatch.chdir(tmp_path)
    flags = [f"--config.{field}" for field in fields]
    command = ["main.py", "--mode=doctor", f"--config={CONFIGS / name}.py", *flags]
    code = main.main(command)
    assert not list(tmp_path.iterdir())  # nothing is written
    return code, capfd.readouterr()


def test_it_knows_what_every_likelihood_is_of():
    assert {"bce", *doctor.DOMAINS} == {*likelihoods.NAMES}


def test_the_doctor_says_what_it_finds_and_writes_nothing(capfd, tmp_path, monkeypatch):
    fields = ["data.limit=330", "model.hidden_dim=16"]
    code, said = doctor_says(capfd, tmp_path, monkeypatch, "digits_mlp", *fields)
    assert code == 0
    lines = {line[2:20].strip(): line[20:] for line in said.out.splitlines()}
    assert lines["images"] == "330 training, 200 validation, 297 test"
    assert lines["batches of 64"] == "5 an epoch; 10 images left out of each, 3.0%"
    assert lines["steps"] == "500 in the run"
    assert lines["threshold"] == "0.25 = beta * sigma^2"
    assert lines["parameters"] == "3,088"
    assert "a step, " in lines["time"]
    assert said.out.splitlines()[-1] == "verdict: nothing stands out"


def test_images_that_stay_in_their_files_are_looked_at(capfd, tmp_path, monkeypatch):
    images, away = np.random.default_rng(0), tmp_path / "there"
    away.mkdir()
    np.save(away / "train.npy", images.integers(0, 256, (300, 8, 8), np.uint8))
    (tmp_path / "here").mkdir()
    fields = ["data.name=npy", f"data.path={away}", "model.channels=(4,)"]
    code, said = doctor_says(
        capfd, tmp_path / "here", monkeypatch, "own_cnn", *fields, "train.epochs=1"
    )
    assert code == 0, said.err
    assert "243 training" in said.out


def test_only_zeros_and_ones_are_a_likelihood_for_bce():
    config, images = digits_mlp.get_config(), np.zeros((2, 4, 4, 1), np.uint8)
    images[0] = 255
    kinds = {}
    for scale in ("unit", "centred"):
        config.data.scale = scale
        facts = forecast.facts(images, scale)
        assert facts.grey == 0
        kinds[scale] = doctor._domain(config, facts)
    assert kinds["unit"].endswith("a likelihood")
    assert kinds["centred"].endswith("a cross-entropy, as values are grey")


def test_nothing_is_forecast_of_a_loss_without_a_theory(capfd, tmp_path, monkeypatch):
    fields = ["loss.recon=laplace", "loss.free_bits=2", "model.hidden_dim=16"]
    code, said = doctor_says(capfd, tmp_path, monkeypatch, "digits_mlp", *fields)
    assert code == 0
    assert (
        "latents: no forecast of what they can gain with loss.recon=laplace, "
        "loss.free_bits=2.0\n"
    ) in said.out


def test_every_stage_that_is_trained_is_looked_at(capfd, tmp_path, monkeypatch):
    def of_stage(job, phase, feed):
        epochs, index = phase.stage.epochs, phase.stage.index
        return costs.Cost(index, epochs, 1, 1.0, 0.5, 1, 4, 0, {"state": 10**6})

    monkeypatch.setattr(costs, "_of_stage", of_stage)
    code, said = doctor_says(
        capfd,
        tmp_path,
        monkeypatch,
        "digits_mlp",
        *("data.limit=330", "model.name=resprovae", "model.z_dim=(1,2,3)"),
        *("model.start_res=2", "model.final_res=8", "train.epochs_per_stage=(9,0,9)"),
        *("model.base_ch=4", "model.min_ch=2", "loss.stage_loss_scale=area"),
    )
    assert code == 0
    rows = [line.split() for line in said.out.splitlines()]
    # Stage, grid, latents of all groups so far, and 1/4 over the weight of the stage.
    stages = {row[0]: row for row in rows if len(row) > 9 and row[1] in ("2x2", "8x8")}
    assert stages.keys() == {"0", "2"}
    assert (stages["0"][2], stages["2"][2]) == ("1", "6")
    assert (stages["0"][-1], stages["2"][-1]) == ("0.0156", "0.25")
    timed = [row[1] for row in rows if row[:1] == ["stage"] and row[1].isdigit()]
    assert timed == ["0", "2"]
    # Nine epochs of four steps of half a second, twice
    assert "  all steps         36s, without evaluation" in said.out
    assert "1 MB: state 1" in said.out


def test_a_mistake_of_the_users_is_one_here_too(capfd, tmp_path, monkeypatch):
    code, said = doctor_says(
        capfd, tmp_path, monkeypatch, "digits_mlp", "data.batch_size=2000"
    )
    assert code == 2
    assert "data.batch_size: must be at most the number of training" in said.err
