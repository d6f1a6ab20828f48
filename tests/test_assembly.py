"""A config turned into data and functions: what does not fit is said at once."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from configs import digits_mlp
from vae_jax import assembly, machine


def test_a_model_larger_than_the_memory_is_refused_before_it_is_made(monkeypatch):
    config = digits_mlp.get_config()
    config.model.hidden_dim, config.model.z_dim = 2**19, (2**19,)
    dataset = assembly.load_data(config)
    # Weights between two layers of 2 ** 19 take a terabyte, and there are several.
    with pytest.raises(ValueError, match="model: must fit into the ") as caught:
        assembly.build(config, dataset)
    assert " parameters, which take " in str(caught.value)
    assert "GB with the optimiser's numbers" in str(caught.value)


def test_what_counts_is_the_state_with_both_of_adam_s_moments(monkeypatch):
    config = digits_mlp.get_config()
    config.model.hidden_dim, config.model.hidden_layers = 3, 1
    config.model.z_dim = (2,)
    dataset = assembly.load_data(config)
    # 64 x 3 and 3 x 4 weights with 3 + 4 biases, back 2 x 3 and 3 x 64 with 3 + 64: 476
    # numbers of four bytes three times, and less than 300 bytes of counts and keys.
    monkeypatch.setattr(machine, "memory", lambda: 3 * 4 * 476)
    with pytest.raises(ValueError, match="got 476 parameters, which take"):
        assembly.build(config, dataset)
    monkeypatch.setattr(machine, "memory", lambda: 3 * 4 * 476 + 300)
    assembly.build(config, dataset)


@pytest.mark.parametrize(
    ("binarize", "dtype", "got"),
    [("threshold", "uint8", "data.binarize=threshold"), ("none", "float32", "float32")],
)
def test_a_likelihood_of_8_bit_levels_is_refused_for_other_images(binarize, dtype, got):
    config = digits_mlp.get_config()
    config.loss.recon, config.data.binarize = "discretized_logistic", binarize
    dataset = assembly.load_data(config)
    images = dataset.train.images.astype(dtype)
    dataset = dataset._replace(train=dataset.train._replace(images=images))
    message = f"discretized_logistic: images must be of 8-bit levels, got {got}"
    with pytest.raises(ValueError, match=message):
        assembly.build(config, dataset)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"prior": "vamp", "kl": "analytic"},
            "loss.kl: must be mc with model.prior=vamp, to which the KL has no closed "
            "form, got 'analytic'",
        ),
        (
            {"prior": "mixture", "kl": "analytic"},
            "loss.kl: must be mc with model.prior=mixture, to which",
        ),
        (
            {"prior": "vamp", "kl": "mc", "prior_components": 1301},
            "model.prior_components: must be at most the number of training images, "
            "1300, with model.prior=vamp, got 1301",
        ),
        (
            {"prior": "mixture", "kl": "mc", "name": "provae"},
            "model.prior: must be standard with model.name=provae, got 'mixture'",
        ),
    ],
)
def test_a_learned_prior_that_cannot_be_had_is_refused(fields, message):
    config = digits_mlp.get_config()
    fields = dict(fields)
    config.loss.kl = fields.pop("kl")
    config.model.update(fields)
    with pytest.raises(ValueError, match=message):
        assembly.build(config, assembly.load_data(config))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("loss.warmup_epochs", 101, "must be at most the epochs of the run, 100, got"),
        (
            "optim.warmup_steps",
            10**6,
            "must be at most the steps of the run, 2300, got",
        ),
        (
            "loss.capacity_epochs",
            101,
            "must be at most the epochs of the run, 100, got",
        ),
        (
            "train.patience",
            3,
            "must be 0 without validation images, of which there are none, got",
        ),
    ],
)
def test_a_wait_without_an_end_is_refused(field, value, message):
    config = digits_mlp.get_config()
    config.update_from_flattened_dict({field: value, "data.valid_size": 0})
    with pytest.raises(ValueError, match=f"{field}: {message} {value}"):
        assembly.build(config, assembly.load_data(config))


def test_the_last_of_several_rises_comes_to_its_end():
    fields = {"train.epochs": 50, "loss.warmup_epochs": 10}
    build(**fields, **{"loss.warmup_cycles": 3})
    message = (
        "loss.warmup_cycles: must be at most 3 for the last of them to rise to the end "
        "in 50 epochs with loss.warmup_epochs=10, got 4"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        build(**fields, **{"loss.warmup_cycles": 4})


def test_rises_of_beta_are_counted_in_epochs_where_these_differ_in_length():
    # 330 images: 20 steps an epoch with 16 of them, 5 with 64.
    fields = {"data.limit": 330, "data.batch_size": (16, 64, 16)}
    fields["train.epochs_per_stage"] = (1, 2, 3)
    cycles = {"loss.warmup_epochs": 1, "loss.warmup_cycles": 3}
    job = build(**PROVAE, **fields, **cycles)
    epochs = [(0, 20), (20, 25), (25, 30), (30, 50), (50, 70), (70, 90)]
    betas = np.array(
        [
            float(job.phase_of(step + 1).schedule(job.phases[0].hparams, step).beta)
            for step in range(90)
        ]
    )
    for number, (first, end) in enumerate(epochs):
        risen = np.arange(1, end - first + 1) / (end - first)
        expected = risen if number in (0, 2, 4) else 1.0
        np.testing.assert_allclose(betas[first:end], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("kl_samples", 7, "must be 1 with loss.kl=analytic, got 7"),
        ("warmup_cycles", 4, "must be 1 with loss.warmup_epochs=0, got 4"),
        ("capacity_epochs", 5, "must be 0 with loss.capacity=0.0, got 5"),
    ],
)
def test_a_field_that_would_have_no_effect_is_refused(field, value, message):
    with pytest.raises(ValueError, match=re.escape(f"loss.{field}: {message}")):
        build(**{f"loss.{field}": value})


def rivals(job, ends):
    return [bool(job.is_rival(int(step))) for step in ends]


def test_patience_counts_the_epochs_at_the_full_kl():
    cycles = {"loss.warmup_epochs": 10, "loss.warmup_cycles": 3}
    job = build(**{"train.epochs": 60}, **cycles)
    state, steps = job.initial_state(), job.plan[-1].steps_per_epoch
    ends = steps * np.arange(1, 61)
    # The last step of a rise has all of the KL, as have the ten epochs after it.
    counted = [e for first in (10, 30, 50) for e in range(first, first + 11)]
    assert list(1 + np.flatnonzero(rivals(job, ends))) == counted
    for best, now, epochs in ((0, 40, 0), (12, 12, 0), (12, 25, 8), (12, 31, 10)):
        at = state._replace(step=steps * now, best_step=steps * best)
        assert job.epochs_since_best(at) == epochs


def test_only_whole_images_in_their_last_form_are_rivals_of_the_final_bound():
    fields = {"train.epochs_per_stage": (2,), "train.fadein_ratio": 0.5}
    job = build(**PROVAE, **fields, **{"loss.capacity": 3.0, "loss.capacity_epochs": 6})
    ends = job.plan[-1].steps_per_epoch * np.arange(1, 7)
    assert rivals(job, ends) == [False] * 5 + [True]
    job = build(**PROVAE, **fields)
    assert rivals(job, ends) == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    ("name", "of_stages", "total"),
    [
        ("mlp", (2,), 7),  # which has no stages
        ("mlp", (1, 2, 4), 7),
        ("provae", (2,), 6),  # of three stages: 2, 4 and 8
        ("provae", (1, 2, 5), 8),
    ],
)
def test_the_epochs_of_a_run_are_known_before_its_data(name, of_stages, total):
    config = digits_mlp.get_config()
    fields = {"train.epochs": 7, "train.epochs_per_stage": of_stages}
    config.update_from_flattened_dict(GROWING | fields | {"model.name": name})
    assert assembly.total_epochs(config) == total
    assert assembly.build(config, assembly.load_data(config)).total_epochs == total


WEIGHTED = {"loss.objective": "iwae", "loss.iw_samples": 5}
GROWING = {"model.start_res": 2, "model.final_res": 8, "model.base_ch": 16}
PROVAE = {**GROWING, "model.name": "provae"}
RESPROVAE = {**GROWING, "model.name": "resprovae"}


def build(**fields):
    """The job of the digits' config with these fields."""
    config = digits_mlp.get_config()
    config.update_from_flattened_dict(fields)
    return assembly.build(config, assembly.load_data(config))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"loss.iw_samples": 5},
            "loss.iw_samples: must be 1 for loss.objective=elbo, got 5; "
            "try --config.loss.objective=iwae",
        ),
        (
            {**WEIGHTED, "loss.beta": 2.0},
            "loss.beta: must be 1.0 for loss.objective=iwae, which may rise to it, "
            "got 2.0",
        ),
        (
            {**WEIGHTED, "loss.free_bits": 2.0},
            "loss.free_bits: must be 0.0 for loss.objective=iwae, got 2.0",
        ),
        (
            {**WEIGHTED, "loss.objective": "stl", "loss.capacity": 2.0},
            "loss.capacity: must be 0.0 for loss.objective=stl, got 2.0",
        ),
        (
            {**WEIGHTED, "loss.objective": "dreg", "loss.tc_weight": 2.0},
            "loss.tc_weight: must be 1.0 for loss.objective=dreg, got 2.0",
        ),
        (
            {"loss.free_bits": 2.0, "loss.capacity": 3.0},
            "loss.capacity: must be 0.0 with loss.free_bits=2.0, got 3.0",
        ),
        (
            {"loss.capacity": 2.0, "loss.tc_weight": 3.0},
            "loss.tc_weight: must be 1.0 with loss.capacity=2.0, got 3.0",
        ),
        (
            {"loss.free_bits": 2.0, "loss.kl": "mc"},
            "loss.kl: must be analytic for loss.free_bits, as estimates of the KL may "
            "be negative, got 'mc'",
        ),
        (
            {"loss.capacity": 2.0, "loss.kl": "mc"},
            "loss.kl: must be analytic for loss.capacity, as estimates of the KL may "
            "be negative, got 'mc'",
        ),
    ],
)
def test_an_objective_that_is_not_defined_is_refused(fields, message):
    with pytest.raises(ValueError, match="must be") as caught:
        build(**fields)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {**WEIGHTED, "loss.objective": "dreg"},
            "loss.objective: must be elbo or iwae for a model of 3 groups of latents, "
            "got 'dreg'",
        ),
        (
            {**WEIGHTED, "loss.objective": "stl"},
            "loss.objective: must be elbo or iwae for a model of 3 groups of latents, "
            "got 'stl'",
        ),
        (
            WEIGHTED,
            "train.fadein_ratio: must be 0 for loss.objective=iwae and a model of 3 "
            "groups of latents, as a fade weighs their KL, got 0.5",
        ),
        (
            {**WEIGHTED, "loss.stage_loss_scale": "area"},
            "loss.stage_loss_scale: must be none for loss.objective=iwae, got area",
        ),
        (
            {"loss.tc_weight": 2.0},
            "loss.tc_weight: must be 1.0 for a model of several groups of latents, 3, "
            "got 2.0",
        ),
    ],
)
def test_so_is_one_that_is_not_for_several_groups_or_stages(fields, message):
    with pytest.raises(ValueError, match="must be") as caught:
        build(**(RESPROVAE | fields))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "fields",
    [
        {**PROVAE, "loss.objective": "dreg"},
        {**RESPROVAE, "train.fadein_ratio": 0.0},
        {"loss.warmup_epochs": 3, "loss.kl": "mc"},
        {"loss.stage_loss_scale": "area"},  # of models that grow, which this does not
    ],
)
def test_an_objective_that_is_defined_is_accepted(fields):
    assert "iw_bound" in build(**(WEIGHTED | fields)).shapes.sums


def test_the_numbers_of_the_loss_reach_the_step_as_numbers():
    numbers = {"free_bits": 0.5, "capacity": 6.0, "tc_weight": 3.0}
    for name, number in numbers.items():
        hparams = build(**{f"loss.{name}": number}).phases[0].hparams
        assert getattr(hparams, name) == number
        assert getattr(hparams, name).dtype == "float32"


def test_a_capacity_rises_over_its_epochs():
    fields = {"loss.capacity": 6.0, "loss.capacity_epochs": 2}
    (phase,) = build(**fields).phases
    steps = 2 * phase.stage.steps_per_epoch
    found = [phase.schedule(phase.hparams, step).capacity for step in range(steps + 2)]
    assert found[0] == pytest.approx(6 / steps)
    assert found[steps - 2] < 6
    assert found[steps - 1] == found[steps] == 6


def test_a_decoder_may_begin_with_the_mean_image():
    job = build(**{"model.output_bias": "mean"})
    bias = job.initial_state().params["net"]["decoder"]["pixels"]["bias"]
    images = job.dataset.train.images
    mean = np.clip(images.reshape(len(images), -1).mean(axis=0) / 255, 1e-3, 0.999)
    np.testing.assert_allclose(bias, special.logit(mean), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"model.output_bias": "mean", "model.name": "cnn"},
            "model.output_bias: must be zero for all but model.name=mlp or hvae with "
            "loss.recon=bce, got 'mean' for cnn with bce",
        ),
        (
            {"model.output_bias": "mean", "loss.recon": "gaussian"},
            "model.output_bias: must be zero for all but model.name=mlp or hvae with "
            "loss.recon=bce, got 'mean' for mlp with gaussian",
        ),
        (
            {"optim.schedule": "steps"},
            "optim.decay_epochs: must be one or more epochs with optim.schedule=steps, "
            "got ()",
        ),
        (
            {"optim.decay_epochs": (3,)},
            "optim.decay_epochs: must be () with optim.schedule=constant, got (3,)",
        ),
    ],
)
def test_a_start_or_a_schedule_that_does_not_fit_is_refused(fields, message):
    with pytest.raises(ValueError, match="must be") as caught:
        build(**fields)
    assert str(caught.value) == message


def test_the_rate_falls_after_whole_epochs():
    fields = {"optim.schedule": "steps", "optim.decay_epochs": (1, 3, 500)}
    (phase,) = build(**fields, **{"optim.decay": 0.5}).phases
    of_epoch = phase.stage.steps_per_epoch
    steps = (0, of_epoch - 1, of_epoch, 3 * of_epoch - 1, 3 * of_epoch)
    rates = [phase.schedule(phase.hparams, step).lr for step in steps]
    np.testing.assert_allclose(rates, np.multiply([4, 4, 2, 2, 1], rates[-1]))


def test_adam_adds_its_eps():
    rates = []
    for eps in (1e-8, 1.0):
        config = digits_mlp.get_config()
        config.optim.eps = eps
        model = build().phases[0].model
        tx = assembly.phase.optimiser(config, model)
        state = tx.init({"w": jnp.float32(0.0)})
        rates.append(float(tx.update({"w": jnp.float32(3.0)}, state)[0]["w"]))
    # g / (|g| + eps) in the first step; 1 - 0.999 is known to 6e-5 in float32.
    np.testing.assert_allclose(rates, [1.0, 3 / 4], rtol=1e-4)
