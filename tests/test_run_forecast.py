"""What is forecast of a run, against trained models."""

import jax.numpy as jnp
import numpy as np
import pytest
import real_data
from known_images import VARIANCES, images_of_known_variances, prepared, read

from vae_jax import evaluate, spectrum
from vae_jax.contracts import Trained
from vae_jax.run import forecast


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


def test_a_linear_vae_uses_the_latents_of_the_forecast_and_gains_as_much(tmp_path):
    config, job = prepared(
        tmp_path,
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


@real_data.needs("FreyFaces")
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


@pytest.mark.parametrize("recon", ["bce", "gaussian"])
def test_gains_are_in_the_loss_with_the_scale_of_a_stage(recon):
    """Of 8x8 images on grids of 2x2, 4x4 and 8x8."""
    fields = [f"loss.recon={recon}", "loss.sigma=0.4", "model.name=provae"]
    fields += ["model.start_res=2", "model.final_res=8", "loss.beta=2"]
    plain, area = (
        forecast.stages(config, job, forecast.some_images(config, job.dataset))
        for config, job in (
            read("digits_mlp", *fields, f"loss.stage_loss_scale={scale}")
            for scale in ("none", "area")
        )
    )
    assert [stage.num_values for stage in plain] == [4, 16, 64]
    for scale, one, other in zip([16, 4, 1], plain, area, strict=True):
        assert other.ceiling == pytest.approx(scale * one.ceiling)
        # scale * recon + 2 KL is at its best where recon + 2 / scale KL is.
        sigma = 0.5 if recon == "bce" else 0.4
        gains = spectrum.gains(one.variances, sigma, 2 / scale)[: other.used]
        assert other.gain == pytest.approx(scale * gains.sum())
        np.testing.assert_allclose(other.gains, scale * gains)
    assert area[1].used > plain[1].used == 0


def test_large_and_many_images_are_looked_at_in_part():
    config, job = read("digits_mlp")
    many = np.zeros((6000, 4, 4, 1), np.uint8)
    large = np.zeros((2500, 30, 30, 3), np.uint8)
    for images, num in [(many, 5000), (large, 2000), (large[:40], 40)]:
        train = job.dataset.train._replace(images=images)
        dataset = job.dataset._replace(train=train)
        assert len(forecast.some_images(config, dataset)) == num
