"""Fields that do nothing: what is said of them is true."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from vae_jax import assembly, data, models, settings
from vae_jax.settings import effect

# Small, and with what the fields in question need, too.
SMALL = {
    "data.batch_size": (2,),
    "model.z_dim": (2,),
    "model.hidden_dim": 8,
    "model.prior_components": 2,
    "model.channels": (4, 4),
    "model.final_res": 8,
    "model.base_ch": 8,
    "model.min_ch": 2,
    "train.epochs": 2,
    "train.epochs_per_stage": (2,),
    "optim.decay_epochs": (1,),
    "loss.kl": "mc",
}
CHANGED = {
    "model.prior_components": 3,
    "model.pseudo_mean": 0.5,
    "model.pseudo_std": 0.5,
    "model.hidden_dim": 6,
    "model.hidden_layers": 3,
    "model.activation": "tanh",
    "model.init": "he",
    "model.logvar_range": (-3.0, 3.0),
    "model.channels": (4, 6),
    "model.start_res": 2,
    "model.final_res": 16,
    "model.base_ch": 16,
    "model.min_ch": 8,
    "model.residual": True,
    "model.group_norm": True,
    "model.detach_residual": True,
    "model.independent_stages": True,
    "loss.sigma": 0.5,
    "loss.sigma_learnable": True,
    "loss.sigma_floor": 0.1,
    "loss.include_const": False,
    "loss.stage_loss_scale": "area",
    "optim.decay": 0.5,
    "optim.per_stage": False,
    "train.epochs": 3,
    "train.epochs_per_stage": (3,),
    "train.fadein_ratio": 0.25,
    "train.fade": "cosine",
}
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)


def choices(field):
    """Every value of a field that has a few."""
    return settings.RULES[field].text.removeprefix("one of ").split(", ")


def cases():
    """Every field with every value of what it needs: not slow is one in vain."""
    for field, need in effect.NEEDS.items():
        if field.startswith(("data.", "eval.")):
            continue  # of the source, and of evaluations: below
        values = choices(need.field)
        vain = next(value for value in values if value not in need.values)
        for value in values:
            marks = [] if value == vain else pytest.mark.slow
            yield pytest.param(field, value, marks=marks)


@functools.cache
def computed(*fields):
    """All that a run computes: its initial numbers, its plan, and steps of stages."""
    config = base.get_config()
    config.update_from_flattened_dict(SMALL | dict(fields))
    if config.optim.schedule != "steps":
        config.optim.decay_epochs = ()
    if config.model.prior == "standard":
        config.loss.kl = "analytic"
    settings.check(config)
    split = data.Split(IMAGES, None)
    job = assembly.build(config, data.Dataset("", "", split, split, split))
    init = jax.jit(job.phases[0].model.init).lower(jax.random.key(0))
    return [init.as_text(), job.plan, *(of_steps(job, phase) for phase in job.phases)]


def of_steps(job, phase):
    def steps(state):
        # Numbers that are no arguments: those without effect are not in the text.
        images, order = jnp.array(IMAGES), jnp.zeros((3, 2), int)
        bounds, loop = (jnp.int32(0), jnp.int32(3)), phase.run_steps.__wrapped__
        return loop(state, images, order, *bounds, phase.hparams)

    return jax.jit(steps).lower(job.shapes).as_text()


@pytest.mark.parametrize(("field", "value"), [*cases()])
def test_a_field_has_an_effect_where_it_is_said_to_and_nowhere_else(field, value):
    need = effect.NEEDS[field]
    other, own = (need.field, value), (field, CHANGED[field])
    assert (computed(other) != computed(other, own)) == (value in need.values)


def config_of(**fields):
    config = base.get_config()
    config.update_from_flattened_dict(fields)
    return config


@pytest.mark.parametrize(
    ("fields", "typed", "notes"),
    [
        ({"model.name": "mlp"}, ["train.epochs", "model.hidden_dim", "seed"], []),
        (
            {"model.name": "provae"},
            ["train.epochs", "seed", "train.epochs"],
            [
                "train.epochs: has an effect only with model.name=mlp, cnn, hvae or "
                "conv_hvae, got provae; see train.epochs_per_stage"
            ],
        ),
        (
            {"data.name": "mnist"},
            ["data.path", "data.dir"],
            [
                "data.path: has an effect only with data.name=npz, npy, idx or folder, "
                "got mnist; see data.dir"
            ],
        ),
        ({"data.name": "tfds:cifar10"}, ["data.dir"], []),
        (
            {"data.name": "npz"},
            ["data.dir"],
            [
                "data.dir: has an effect only with data.name=mnist, freyfaces or "
                "tfds:NAME, got npz; see data.path"
            ],
        ),
        ({"eval.samplers": ("prior", "mixture")}, ["eval.mixture_images"], []),
        (
            {"eval.samplers": ("prior",)},
            ["eval.mixture_images"],
            [
                "eval.mixture_images: has an effect only with eval.samplers=mixture, "
                "got ('prior',)"
            ],
        ),
        (
            {},
            ["loss.sigma_floor"],
            [
                "loss.sigma_floor: has an effect only with "
                "loss.recon=gaussian_per_pixel, got bce"
            ],
        ),
    ],
)
def test_what_is_typed_in_vain_is_named_with_what_it_needs(fields, typed, notes):
    assert list(settings.without_effect(config_of(**fields), typed)) == notes


def test_every_need_is_of_fields_and_values_that_there_are():
    for field, need in effect.NEEDS.items():
        assert field in settings.RULES
        assert need.instead in {"", *settings.RULES}
        rule = settings.RULES[need.field]
        assert all(rule.allows(v) or rule.allows((v,)) for v in need.values)
    assert effect.GROWING == models.GROWING
    assert {*effect.GROWING, *effect.PLAIN} == {*models.BUILDERS}
