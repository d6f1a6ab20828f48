"""A whole run: its data, and what is called at each of its stages."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float
from ml_collections import ConfigDict

from vae_jax import (
    consistency,
    data,
    growth,
    likelihoods,
    machine,
    models,
    objectives,
    pixels,
    train,
)
from vae_jax.assembly.phase import Phase, build_phase, optimiser
from vae_jax.contracts import Model, Objective


class Job(NamedTuple):
    """What a config says there is to do, and nothing that changes."""

    dataset: data.Dataset
    phases: tuple[Phase, ...]  # one after the other; models that do not grow have one
    shapes: train.TrainState  # of a state, and no numbers
    initial_state: Callable[[], train.TrainState]

    @property
    def plan(self) -> growth.Plan:
        return tuple(phase.stage for phase in self.phases)

    @property
    def total_epochs(self) -> int:
        return sum(stage.epochs for stage in self.plan)

    def phase_at(self, step: int) -> Phase:
        """That of the step which comes when ``step`` are done."""
        return self.phases[growth.stage_at(self.plan, step).index]

    def is_rival(self, step: int) -> Bool[Array, ""]:
        """Whether the bound after so many steps is a rival of the final one.

        Not one of another stage, of a mixture of two, or trained for with less of the
        KL or of its capacity.
        """
        last = self.phases[-1]
        now = last.schedule(last.hparams, step - 1)
        whole = last.schedule(last.hparams, step).alpha == 1.0
        full = now.beta == last.hparams.beta
        filled = now.capacity == last.hparams.capacity
        return (step > last.stage.first_step) & whole & full & filled

    def epochs_since_best(self, state: train.TrainState) -> int:
        """In how many that count no bound was better; 0 before the first of them."""
        best, steps = int(state.best_step), self.plan[-1].steps_per_epoch
        if not best:
            return 0
        ends = range(best + steps, int(state.step) + 1, steps)
        return sum(bool(self.is_rival(end)) for end in ends)

    def phase_of(self, step: int) -> Phase:
        """That of the last of ``step`` steps."""
        return self.phases[growth.stage_of(self.plan, step).index]


def load_data(config: ConfigDict) -> data.Dataset:
    """The data set of a config.

    Raises:
        ValueError: if a field or a file is not what it should be.
        TypeError: likewise.
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
    return data.load(
        fields.name,
        wanted,
        valid_size=fields.valid_size,
        test_size=fields.test_size,
        binarize=fields.binarize,
        limit=fields.limit,
    )


def build(config: ConfigDict, dataset: data.Dataset) -> Job:
    """The functions of a config. Nothing is compiled yet.

    Raises:
        ValueError: if the config does not fit the data, or parts of it each other.
    """
    _check_fields(config, dataset)
    images = dataset.train.images
    likelihood = likelihoods.build(
        config.loss.recon,
        sigma=config.loss.sigma,
        sigma_learnable=config.loss.sigma_learnable,
        include_const=config.loss.include_const,
        bin_width=pixels.BIN_WIDTHS[config.data.scale],
    )
    sizes = {
        **config.model,
        "image_shape": images.shape[1:],
        "stage_loss_scale": config.loss.stage_loss_scale,
        "remat": config.train.remat,
    }
    num_stages = models.num_stages(**sizes)
    plan = growth.plan(
        len(images),
        num_stages,
        epochs=epochs(config),
        batch_sizes=config.data.batch_size,
        fadein_ratio=config.train.fadein_ratio,
    )
    consistency.check_rises(
        sum(stage.epochs for stage in plan),
        plan[-1].end_step,
        warmup_steps=config.optim.warmup_steps,
        loss=config.loss.to_dict(),
    )
    rates = growth.per_stage("optim.lr", config.optim.lr, num_stages)
    stages = [
        models.build(likelihood=likelihood, stage=stage, **sizes)
        for stage in range(num_stages)
    ]
    if config.model.output_bias == "mean":
        bias = _mean_logits(images, config.data.scale)
        stages = [models.biased(model, bias) for model in stages]
    objective = build_objective(config, stages[-1], len(images))
    phases = tuple(
        build_phase(config, plan, model, objective, rates[model.stage])
        for model in stages
    )
    tx = optimiser(config, stages[-1])
    init = train.make_init(stages[-1], objective, tx, config.optim.ema > 0)
    key = jax.random.key(config.seed)
    shapes = jax.eval_shape(init, key)
    _check_memory(shapes)
    return Job(dataset, phases, shapes, initial_state=lambda: init(key))


def _check_fields(config: ConfigDict, dataset: data.Dataset) -> None:
    """Accepts fields that fit each other and the data; see ``consistency``."""
    images, model, loss = dataset.train.images, config.model, config.loss
    consistency.check_scale(config.data.scale, images.dtype)
    consistency.check_levels(loss.recon, images.dtype, config.data.binarize)
    consistency.check_prior(model.prior, loss.kl, model.prior_components, len(images))
    consistency.check_patience(config.train.patience, len(dataset.valid.images))
    consistency.check_output_bias(model.output_bias, model.name, loss.recon)
    consistency.check_decay(config.optim.schedule, config.optim.decay_epochs)
    consistency.check_microbatches(
        config.train.microbatches, config.data.batch_size, loss.to_dict()
    )


def _mean_logits(images: data.Images, scale: str) -> Float[np.ndarray, "H W C"]:
    """Those of the mean image as a model sees it."""
    mean = data.mean(images)
    return likelihoods.logits(
        pixels.scaled(mean, scale) if images.dtype == np.uint8 else mean
    )


def build_objective(config: ConfigDict, model: Model, num_images: int) -> Objective:
    """What training on so many images minimises; ``model`` is that of the last stage.

    Raises:
        ValueError: if it is not defined for the model, or with other fields.
    """
    loss = config.loss.to_dict()
    consistency.check_companions(loss)
    consistency.check_pressure(loss)
    fadein_ratio = config.train.fadein_ratio
    if model.num_stages == 1:
        loss["stage_loss_scale"], fadein_ratio = "none", 0.0
    consistency.check_objective(len(model.z_dims), fadein_ratio, loss)
    return objectives.build(
        config.loss.objective,
        config.loss.kl,
        config.loss.kl_samples,
        iw_samples=config.loss.iw_samples,
        tc_images=num_images if config.loss.tc_weight != 1 else 0,
    )


def _check_memory(shapes: train.TrainState) -> None:
    """Refuses a model whose state alone would take more memory than there is.

    The operating system would end the process without a word.
    """
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(shapes))
    there = machine.memory()
    if size > there:
        raise ValueError(
            f"model: must fit into the {there / 1e9:.3g} GB of memory that there are, "
            f"got {train.count(shapes.params):,} parameters, which take "
            f"{size / 1e9:.3g} GB with the optimiser's numbers"
        )


def epochs(config: ConfigDict) -> tuple[int, ...]:
    """Of each stage, or one number for all of them."""
    if config.model.name in models.GROWING:
        return config.train.epochs_per_stage
    return (config.train.epochs,)


def total_epochs(config: ConfigDict) -> int:
    """Of a whole run, known before its data."""
    of_each, sizes = epochs(config), config.model
    doublings = (sizes.final_res // sizes.start_res).bit_length() - 1
    num_stages = 1 + doublings if sizes.name in models.GROWING else 1
    return sum(of_each) if len(of_each) > 1 else num_stages * of_each[0]
