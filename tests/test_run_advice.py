"""What stands out: each finding, its field and its text."""

import numpy as np
import pytest
from known_images import images_of_known_variances, prepared

from vae_jax.run import advice, costs, forecast


@pytest.fixture
def say(tmp_path):
    """What stands out, of images and fields of one's own; costs are made up."""

    def get(images, *fields, limit=None, **cost):
        config, job = prepared(tmp_path, images, *fields)
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
                "train.epochs_per_stage=(9, 3, 9): in stage 0, 1x1, latents can",
                "in stage 1, 2x2, latents can gain at most 0.59 nats, so its 3 epochs",
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
