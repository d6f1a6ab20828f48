"""Models with learned priors and two levels, from the command line to every number."""

import json

import numpy as np
import pytest

import main

SMALL = [
    "--config.data.name=shapes",
    "--config.data.image_size=8,8",
    "--config.data.channels=1",
    "--config.data.num_images=120",
    "--config.data.valid_size=20",
    "--config.data.test_size=20",
    "--config.data.batch_size=16",
    "--config.model.hidden_dim=8",
    "--config.model.channels=2",
    "--config.model.z_dim=3",
    "--config.model.prior_components=6",
    "--config.loss.warmup_epochs=1",
    "--config.train.epochs=1",
    "--config.train.patience=0",
    "--config.eval.num_samples=20",
    "--config.eval.iw_samples=4",
    "--config.eval.mixture_components=2",
    "--config.eval.extractor=pixels",
]
RUNS = {
    "mnist_vae": [],
    "freyfaces_vamp": [],
    "freyfaces_hvae": [],
    "freyfaces_hvae_vamp": ["--config.model.z_dim=2,3"],
    "freyfaces_vae": ["--config.model.name=conv_hvae", "--config.model.prior=mixture"],
}

SHORT = "freyfaces_hvae_vamp"
AT_LENGTH = [
    name if name == SHORT else pytest.param(name, marks=pytest.mark.slow)
    for name in RUNS
]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(main.ROOT)


def flags(name):
    return [f"--config=configs/papers/{name}.py", *SMALL, *RUNS[name]]


@pytest.mark.parametrize("name", AT_LENGTH)
def test_it_trains_and_gives_every_number_picture_and_sample(name, tmp_path):
    folder = tmp_path / "run"
    at = f"--workdir={folder}"
    assert main.main(["main.py", *flags(name), at]) == 0
    assert main.main(["main.py", "--mode=eval", at]) == 0
    found = json.loads((folder / "eval.json").read_text())
    levels = 2 if "hvae" in name or RUNS[name] else 1
    numbers = found["numbers"]
    assert all(np.isfinite(number["value"]) for number in numbers.values())
    assert numbers["iw_bound"]["value"] > numbers["elbo"]["value"] - 1
    assert {"mutual_information", "iw_bits_per_dim"} <= numbers.keys()
    groups = found["kl_per_dimension"]["groups"]
    sizes = [2, 3] if name == "freyfaces_hvae_vamp" else [3] * levels
    assert list(map(len, groups)) == sizes
    assert ("kl_group_1" in numbers) == (levels == 2)
    samples = found["samples"]
    assert {"prior", "mixture"} <= samples.keys()
    how = samples["mixture"]["fd_pixels"]["how"]  # the same for one level and for two
    assert "Gaussians fitted to latents of training images, at most " in how
    for picture in ("samples", "interpolations", "latent_space", "kl_per_dimension"):
        assert (folder / "plots" / f"{picture}.png").exists()
    assert main.main(["main.py", "--mode=sample", at, "--num=3"]) == 0
    images = np.load(folder / "samples" / "samples_3_seed0.npy")
    assert images.shape == (3, 8, 8, 1)


@pytest.mark.parametrize("name", ["freyfaces_hvae_vamp"])
def test_the_doctor_looks_at_both_levels(name, capfd):
    assert main.main(["main.py", "--mode=doctor", *flags(name)]) == 0
    assert "parameters" in capfd.readouterr().out


def test_a_learned_prior_without_its_kl_is_refused_at_once(capfd):
    args = [*flags("freyfaces_vamp"), "--config.loss.kl=analytic"]
    assert main.main(["main.py", *args]) == 2
    assert "loss.kl: must be mc with model.prior=vamp" in capfd.readouterr().err
