"""A config turned into data and functions."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from vae_jax import data, evaluate, likelihoods, models, objectives, train
from vae_jax.contracts import Hparams, Model, Schedule


class Job(NamedTuple):
    """Everything that training and evaluation call, and nothing that changes."""

    dataset: data.Dataset
    model: Model
    hparams: Hparams
    initial_state: Callable[[], train.TrainState]
    run_steps: Callable[..., train.TrainState]  # see train.make_run_steps
    terms: Callable[..., dict[str, np.ndarray]]  # see evaluate.make_terms
    schedule: Schedule
    steps_per_epoch: int


def load_data(config: ConfigDict) -> data.Dataset:
    """The data set of a config, with at least one batch to train on.

    Raises:
        ValueError: if there is less, or a file is not what it should be.
        OSError: if a file cannot be found or read.
    """
    fields = config.data
    wanted = data.Wanted(
        directory=fields.dir or None,
        path=fields.path or None,
        seed=fields.split_seed,
        image_size=fields.image_size or None,
        channels=fields.channels,
        num_images=fields.num_images,
    )
    dataset = data.load(
        fields.name,
        wanted,
        valid_size=fields.valid_size,
        test_size=fields.test_size,
        binarize=fields.binarize,
        limit=fields.limit,
    )
    train.steps_per_epoch(len(dataset.train.images), fields.batch_size)
    return dataset


def build(config: ConfigDict, dataset: data.Dataset) -> Job:
    """The functions of a config. Nothing is compiled yet."""
    likelihood = likelihoods.build(
        config.loss.recon,
        sigma=config.loss.sigma,
        sigma_learnable=config.loss.sigma_learnable,
        include_const=config.loss.include_const,
    )
    image_shape = dataset.train.images.shape[1:]
    model = models.build(image_shape=image_shape, likelihood=likelihood, **config.model)
    objective = objectives.elbo(config.loss.kl, config.loss.kl_samples)
    tx = optax.scale_by_adam()
    steps = train.steps_per_epoch(len(dataset.train.images), config.data.batch_size)
    schedule = train.make_schedule(
        config.optim.schedule, config.optim.warmup_steps, config.train.epochs * steps
    )
    step = train.make_step(
        model,
        objective,
        tx,
        schedule,
        reduction=config.loss.reduction,
        scale=config.data.scale,
        dynamic_binarize=config.data.binarize == "dynamic",
    )
    return Job(
        dataset=dataset,
        model=model,
        hparams=hparams(config),
        initial_state=lambda: train.init_state(
            model, objective, tx, config.seed, use_ema=config.optim.ema > 0
        ),
        run_steps=train.make_run_steps(step),
        terms=evaluate.make_terms(
            model, objective, scale=config.data.scale, batch_size=config.eval.batch_size
        ),
        schedule=schedule,
        steps_per_epoch=steps,
    )


def hparams(config: ConfigDict) -> Hparams:
    """The numbers of a config that are traced."""
    numbers = Hparams(
        lr=config.optim.lr,
        beta=config.loss.beta,
        sigma=config.loss.sigma,
        alpha=1.0,
        clip_norm=config.optim.clip_norm or np.inf,
        ema_decay=config.optim.ema,
        max_bad_steps=config.train.max_bad_steps,
    )
    return Hparams(*map(jnp.float32, numbers))
