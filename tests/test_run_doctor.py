"""What the doctor forecasts, against trained models, and what it says."""

import os
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import main
from vae_jax import evaluate
from vae_jax.contracts import Trained
from vae_jax.run import advice, costs, forecast, session

CONFIGS = main.ROOT / "configs"
REAL = pathlib.Path(os.environ.get("VAE_JAX_DATA_DIR") or os.devnull)
VARIANCES = np.array([0.25, 0.1, 0.05] + [0.00002] * 13)


def images_of_known_variances(num=1000):
    """Of 4x4, along 16 axes of their own. Uniform, or they would leave [0, 1].

    A linear VAE sees only the covariance, so its theory holds whatever the shape.
    """
    rng, axes = np.random.default_rng(0), scipy.linalg.hadamard(16) / 4
    uniform = rng.uniform(-(3**0.5), 3**0.5, size=(num, 16))  # variance 1
    x = 0.5 + uniform * np.sqrt(VARIANCES) @ axes
    assert 0 < x.min() < x.max() < 1
    return x.reshape(num, 4, 4).astype(np.float32)


@pytest.fixture
def prepared(tmp_path):
    """A config for images of one's own, and its job."""

    def get(images, *fields):
        np.savez(tmp_path / "own.npz", images=images)
        flags = ["name=npz", f"path={tmp_path / 'own.npz'}", "valid_size=0"]
        flags += ["test_size=100", "batch_size=30"]
        return read("digits_mlp", *(f"data.{flag}" for flag in flags), *fields)

    return get


def read(name, *fields):
    flags = [f"--config.{field}" for field in fields]
    _, config = main.parse(["main.py", f"--config={CONFIGS / name}.py", *flags])
    return config, session.assemble(config)


def trained(config, job, batch_size):
    """The model after the config's steps, its sigma the fixed one of the config."""
    (phase,), num = job.phases, job.plan[-1].end_step
    hparams = phase.hparams._replace(sigma=jnp.float32(config.loss.sigma))
    rng, images = np.random.default_rng(0), job.dataset.train.images
    order = rng.integers(len(images), size=(num, batch_size), dtype=np.int32)
    state = phase.run_steps(job.initial_state(), images, order, 0, num, hparams)
    return Trained(phase.model, state.params, hparams)


def active_units(of, images):
    (found,) = evaluate.posteriors(of, images, scale="unit", batch_size=300)
    return evaluate.active_units(found.mean)


def forecast_of(config, job):
    (stage,) = forecast.stages(config, job, forecast.some_images(config, job.dataset))
    return stage


def gain_of(of, job):
    """How much lower the loss is than without latents: of each image, in nats."""
    (phase,), images = job.phases, job.dataset.train.images
    terms = phase.terms(of.params, images, of.hparams)
    error = np.square(images - images.mean(axis=0)).sum(axis=(1, 2, 3))
    sigma = float(of.hparams.sigma)
    constants = images[0].size * np.log(sigma * np.sqrt(2 * np.pi))
    return error / (2 * sigma**2) + constants - terms["recon"] - terms["kl"]


def test_a_linear_vae_uses_the_latents_of_the_forecast_and_gains_as_much(prepared):
    config, job = prepared(
        images_of_known_variances(),
        "loss.recon=gaussian",
        "model.z_dim=6",
        "model.hidden_layers=0",
        "optim.lr=0.02",
        "optim.schedule=cosine",
        "train.epochs=150",
    )
    for noise, used in [(0.5, 0), (0.14, 1), (0.02, 3)]:
        config.loss.sigma = noise**0.5
        stage = forecast_of(config, job)
        assert stage.used == used
        # Of 900 uniform numbers, the variance is off by sqrt(0.8 / 900) = 3%.
        np.testing.assert_allclose(stage.variances[:3], VARIANCES[:3], rtol=0.12)
        of = trained(config, job, 100)
        images = job.dataset.train.images
        assert active_units(of, images) == used
        # The one draw of z: with r = sigma^2 / v, the error along a direction is of
        # variance (1 - r^2) / 2 about its mean. Training ends within 0.01 nats.
        ratios = noise / stage.variances[:used]
        standard_error = np.sqrt((1 - ratios**2).sum() / 2 / len(images))
        gain = gain_of(of, job).mean()
        assert abs(gain - stage.gain) < 4 * standard_error + 0.01


@pytest.mark.skipif(
    not (REAL / "freyfaces").is_dir(), reason="VAE_JAX_DATA_DIR holds no FreyFaces"
)
def test_one_latent_at_most_survives_on_freyfaces_with_a_sigma_of_1():
    fixed = ["loss.sigma=1", "loss.sigma_learnable=False", "train.epochs=100"]
    config, job = read("freyfaces_mlp", *fixed, "model.hidden_dim=32")
    images, stage = job.dataset.train.images, forecast_of(config, job)
    # The design's figures, of all 1965 images; these are 1565 of them.
    np.testing.assert_allclose(stage.variances[:2], [1.29, 0.79], rtol=0.02)
    assert stage.used == 1
    gain = (stage.variances[0] - 1 - np.log(stage.variances[0])) / 2
    assert stage.gain == pytest.approx(gain)
    # 0.048 is the design's likeliest sigma of 20 latents.
    assert stage.best.sigma == pytest.approx(0.048, abs=5e-4)
    assert active_units(trained(config, job, 100), images) <= stage.used
    config.loss.sigma = 0.1
    assert forecast_of(config, job).used > 10
    assert active_units(trained(config, job, 100), images) > 2


@pytest.fixture
def say(prepared, monkeypatch):
    """What stands out, of images and fields of one's own; costs are made up."""

    def get(images, *fields, limit=None, **cost):
        config, job = prepared(images, *fields)
        seen = forecast.some_images(config, job.dataset)
        facts = forecast.facts(seen, config.data.scale)
        stages = forecast.stages(config, job, seen)
        one = costs.Cost(0, 1, 1, 1.0, 1e-3, 1, 30, 0, {"state": 1000})
        made_up = [one._replace(**cost)]
        found = advice.findings(config, job, facts, stages, made_up, limit)
        return [finding.text for finding in found]

    return get


GAUSSIAN = ("loss.recon=gaussian", "model.z_dim=3")
LEARNED = (*GAUSSIAN, "loss.sigma_learnable=True")
GROWING = (
    "model.name=provae",
    "model.start_res=1",
    "model.final_res=4",
    "train.epochs_per_stage=(9, 3, 9)",
)
GREY = images_of_known_variances()
COIN = np.random.default_rng(0).random((1000, 4, 4)) < 0.5
BLACK_AND_WHITE = COIN.astype(np.uint8) * np.uint8(255)
# Four blocks that differ from image to image, so that some latents are sure to pay
BLOCKS = BLACK_AND_WHITE[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)
BLOCKS[:, 0, 0], BLOCKS[:, 3, 3] = 255, 0  # so that none is of one value
FRAMED = GREY.copy()
FRAMED[:, 0] = 0.5  # a row that never changes leaves 12 directions of 16 values


@pytest.mark.parametrize(
    ("images", "fields", "texts"),
    [
        (BLOCKS, [], []),
        (GREY, ["loss.sigma=0.005", *GAUSSIAN], []),
        (GREY, ["loss.sigma=0.01", *LEARNED], []),
        (
            COIN.astype(np.uint8),
            [],
            [
                "data.name=npz: images use only 0 to 0.00392 of 0 to 1",
                "data.name=npz: latents can gain at most 0.022 nats",
            ],
        ),
        (
            GREY,
            [],
            [
                "data.name=npz: latents can gain at most 0.85 nats; the images hardly",
                "loss.recon=bce: 100% of the values are grey, for which it is a cross",
            ],
        ),
        (
            BLOCKS,
            ["loss.sigma=0.3", "model.z_dim=3", "loss.recon=gaussian"],
            ["loss.recon=gaussian: 100.0% of the values are black or white"],
        ),
        (
            np.concatenate([BLOCKS, np.zeros((80, 4, 4), np.uint8)]),
            [],
            ["of 980 images are of one value throughout"],
        ),
        (
            np.full((1000, 4, 4), 0.5, np.float32),
            LEARNED,
            [
                "data.name=npz: images use only 0.5 to 0.5 of 0 to 1",
                "data.name=npz: all images are the same",
                "data.name=npz: 900 of 900 images are of one value",
            ],
        ),
        (
            GREY,
            GAUSSIAN,
            [
                "loss.sigma=1: so large that only 0 of 3 latents can pay for their KL; "
                "try --config.loss.sigma=0.0045 or --config.loss.sigma_learnable=True"
            ],
        ),
        (
            FRAMED,
            ["loss.sigma=0.3", "loss.recon=gaussian", "model.z_dim=12"],
            ["loss.sigma=0.3: so large that only 1 of 12 latents can pay for their KL"],
        ),
        (
            GREY,
            ["loss.sigma=0.0001", *GAUSSIAN],
            ["loss.sigma=0.0001: far from 0.00445, the likeliest one of a linear"],
        ),
        (
            GREY,
            # Likeliest is 0.004, of 15 latents; 0.006^2 is more than 0.00002.
            ["loss.sigma=0.006", "loss.recon=gaussian", "model.z_dim=16"],
            ["model.z_dim=(16,): only 3 of 16 latents can pay for their KL at this"],
        ),
        (
            GREY,
            # 0.1 is below 7 * 0.13^2, and the likeliest sigma of one latent is 0.13.
            ["loss.sigma=0.13", "loss.beta=7", *GAUSSIAN],
            ["loss.beta=7: only 1 of 3 latents can pay for their KL at this sigma"],
        ),
        (
            GREY,
            LEARNED,
            # log(1 / 0.00445) / 0.001, and 100 epochs of 30 steps
            [
                "loss.sigma=1: to 0.00445 it takes the learned sigma 5,415 steps or "
                "more at this optim.lr, but there are 3,000; "
                "try --config.loss.sigma=0.0089, or more epochs"
            ],
        ),
        (
            GREY,
            ["loss.beta=7", "loss.sigma=0.05", *LEARNED],
            ["loss.beta=7: only 1 of 3 latents can pay for their KL"],
        ),
        (
            FRAMED,
            ["loss.sigma=0.01", *LEARNED, "model.z_dim=12"],
            ["model.z_dim=(12,): 12 latents can render all 12 directions"],
        ),
        (
            BLOCKS,
            ["loss.beta=20"],
            ["loss.beta=20: no latent is sure to pay for its KL; --config.loss.beta=2"],
        ),
        (
            BLACK_AND_WHITE,
            GROWING,
            [
                "train.epochs_per_stage=(9, 3, 9): in stage 1, 1x1, latents can",
                "in stage 2, 2x2, latents can gain at most 0.59 nats, so its 3 epochs",
            ],
        ),
        (
            BLOCKS,
            ["data.batch_size=500", "train.epochs=300"],
            ["data.batch_size=(500,): 400 of 900 images do not fill a batch of 500"],
        ),
        (
            BLOCKS,
            ["train.epochs=9"],
            ["data.batch_size=(30,): only 270 steps in the whole run"],
        ),
    ],
)
def test_what_stands_out_names_the_field_its_value_and_a_way_out(
    say, images, fields, texts
):
    found = say(images, *fields)
    print(found)
    assert len(found) == len(texts)
    assert all(text in one for text, one in zip(texts, found, strict=True))


@pytest.mark.parametrize(
    ("cost", "fields", "text"),
    [
        ({"bad_steps": 7}, [], "optim.lr=(0.001,): 7 of the first steps have a loss"),
        ({"memory": {"state": 81}, "limit": 100}, [], "data.batch_size=(30,): about"),
        ({"memory": {"state": 79}, "limit": 100}, [], None),
        (
            {"step_seconds": 3.0},  # 30 of them in an epoch, and one epoch
            ["train.max_minutes=1"],
            "train.max_minutes=1: all epochs take about 1m30s, so it stops before",
        ),
    ],
)
def test_what_the_first_steps_show_stands_out(say, cost, fields, text):
    found = say(BLOCKS, *fields, **cost)
    assert len(found) == (text is not None)
    assert all(text in one for one in found)


def test_the_worst_comes_first(say):
    found = say(GREY, *GAUSSIAN, "train.epochs=9", "data.batch_size=500")
    fields = [text.split("=")[0] for text in found]
    assert fields == ["loss.sigma", "data.batch_size", "data.batch_size"]
    assert "only 9 steps" in found[1]  # costs more than what is left out


def doctor_says(capfd, tmp_path, monkeypatch, name, *fields):
    monkeypatch.chdir(tmp_path)
    flags = [f"--config.{field}" for field in fields]
    command = ["main.py", "--mode=doctor", f"--config={CONFIGS / name}.py", *flags]
    code = main.main(command)
    assert not list(tmp_path.iterdir())  # nothing is written
    return code, capfd.readouterr()


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


def test_every_stage_that_is_trained_is_looked_at(capfd, tmp_path, monkeypatch):
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
    assert stages.keys() == {"1", "3"}
    assert (stages["1"][2], stages["3"][2]) == ("1", "6")
    assert (stages["1"][-1], stages["3"][-1]) == ("0.0156", "0.25")
    timed = [row[1] for row in rows if row[:1] == ["stage"] and row[1].isdigit()]
    assert timed == ["1", "3"]


def test_a_mistake_of_the_users_is_one_here_too(capfd, tmp_path, monkeypatch):
    code, said = doctor_says(
        capfd, tmp_path, monkeypatch, "digits_mlp", "data.batch_size=2000"
    )
    assert code == 2
    assert "data.batch_size: must be at most the number of training" in said.err


def test_large_and_many_images_are_looked_at_in_part():
    config, job = read("digits_mlp")
    many = np.zeros((6000, 4, 4, 1), np.uint8)
    large = np.zeros((2500, 30, 30, 3), np.uint8)
    for images, num in [(many, 5000), (large, 2000), (large[:40], 40)]:
        train = job.dataset.train._replace(images=images)
        dataset = job.dataset._replace(train=train)
        assert len(forecast.some_images(config, dataset)) == num
