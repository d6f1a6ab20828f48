"""A config turned into data and functions: what does not fit is said at once."""

import pytest

from configs import digits_mlp
from vae_jax import assembly


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
    monkeypatch.setattr(assembly, "memory", lambda: 3 * 4 * 476)
    with pytest.raises(ValueError, match="got 476 parameters, which take"):
        assembly.build(config, dataset)
    monkeypatch.setattr(assembly, "memory", lambda: 3 * 4 * 476 + 300)
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
