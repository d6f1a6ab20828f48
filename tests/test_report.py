"""The final evaluation."""

import jax.numpy as jnp
import numpy as np
import pytest
import small

from vae_jax import evaluate, report

TERMS = {
    "elbo": np.array([-4.0, -2.0]),
    "recon": np.array([3.0, 1.5]),
    "kl": np.array([1.0, 0.5]),
}
GREY = np.full((2, 4, 4, 1), 100, np.uint8)
BINARY = np.tile(np.uint8([0, 255]), 16).reshape(2, 4, 4, 1)


def model(recon="bce", **changes):
    return small.model("mlp", (4, 4, 1), recon, **({"sigma": 0.5} | changes))


def evaluation(model, images):
    on = report.bound_on(images, model, "unit")
    return {
        "bound_kind": on.kind,
        "numbers": report.evaluation(TERMS, on, "analytic"),
    }


def test_every_number_has_its_count_unit_spread_and_how_it_was_got():
    numbers = evaluation(model(), BINARY)["numbers"]
    for name in ("elbo", "recon", "kl", "bits_per_dim"):
        assert numbers[name]["n"] == 2
        assert numbers[name]["unit"]
        assert numbers[name]["how"]
    assert numbers["elbo"]["value"] == -3.0
    # Sample standard deviation sqrt(2), over sqrt(2) images.
    assert numbers["elbo"]["standard_error"] == pytest.approx(1.0)


def test_bits_per_dim_are_given_only_for_likelihoods_of_8_bit_data():
    binary, grey = evaluation(model(), BINARY), evaluation(model(), GREY)
    assert binary["bound_kind"] == "probability_mass"
    assert "bits_per_dim" in binary["numbers"]
    assert grey["bound_kind"] == "cross_entropy"
    assert "bits_per_dim" not in grey["numbers"]
    density = evaluation(model("gaussian"), GREY)
    assert density["bound_kind"] == "density"
    assert "bits_per_dim" in density["numbers"]
    two_levels = evaluation(model("gaussian"), BINARY)
    assert two_levels["bound_kind"] == "density"
    assert "bits_per_dim" not in two_levels["numbers"]
    floats = evaluation(model("gaussian"), GREY.astype(np.float32) / 255)
    assert "bits_per_dim" not in floats["numbers"]


def test_black_and_white_levels_that_are_not_seen_as_0_and_1_are_grey():
    assert report.bound_on(BINARY, model(), "centred").kind == "cross_entropy"


@pytest.mark.parametrize(
    ("recon", "kind"),
    [("discretized_logistic", "probability_mass"), ("gaussian", "density")],
)
def test_averages_have_no_likelihood(recon, kind):
    shape = (8, 8, 1)
    images = np.full((2, *shape), 9, np.uint8)
    early, last = (
        report.bound_on(images, small.model("provae", shape, recon, stage), "unit")
        for stage in (0, -1)
    )
    assert early == ("cross_entropy", None, "unit")
    assert last == (kind, 64, "unit")


def test_sigma_is_reported_as_fixed_or_learned(hparams):
    learned = {"likelihood": {"log_sigma": jnp.log(0.25)}}
    found = report.sigma(model("gaussian"), learned, hparams)["sigma"]
    assert (found["value"], found["how"]) == (pytest.approx(0.25), "learned")
    fixed = report.sigma(model("gaussian"), {"likelihood": {}}, hparams)["sigma"]
    assert (fixed["value"], fixed["how"]) == (1.0, "fixed")
    assert report.sigma(model(), {"likelihood": {}}, hparams) == {}


def test_active_units_are_counted_over_all_groups():
    means = np.tile([[-1.0], [1.0]], (5, 3))
    used = evaluate.Posteriors(means, np.ones((10, 3)), 0.0 * means)
    noisy = used._replace(noise=np.ones((10, 3)))
    found = report.latents((used, noisy))["active_units"]
    assert (found["value"], found["unit"], found["n"]) == (3, "of 6 latents", 10)
    assert found["groups"] == [3, 0]
    assert found["how"].endswith("less the variance by those draws")
    assert "groups" not in report.latents((used,))["active_units"]


def test_the_kl_of_every_latent_is_a_mean_over_images():
    kl = np.array([[1.0, 0.0], [3.0, 0.5]], np.float32)
    of = evaluate.Posteriors(np.zeros((2, 2)), kl, np.zeros((2, 2)))
    found = report.kl_per_dimension((of,), to_mixture=False)
    how = ["in closed form"]
    assert found == {"groups": [[2.0, 0.25]], "n": 2, "unit": "nats", "how": how}


def test_the_kl_of_a_latent_says_how_it_was_got():
    of = evaluate.Posteriors(*np.zeros((3, 2, 2)))
    later = "in closed form, mean over 16 draws of coarser groups"
    assert report.kl_per_dimension((of, of), False)["how"] == ["in closed form", later]
    for groups, draws in (((of,), 1), ((of, of), 16)):
        first, *others = report.kl_per_dimension(groups, True)["how"]
        assert first.startswith(
            f"estimated, draws for each image: {draws}; to the marg"
        )
        assert others == [later] * (len(groups) - 1)


def test_the_table_shows_every_number_and_the_kind_of_bound(hparams):
    found = {
        "split": "test",
        "checkpoint": "best",
        "step": 10,
        "epoch": 2,
        "data": {"name": "digits"},
        **evaluation(model("gaussian"), GREY),
    }
    found["numbers"] |= report.sigma(model("gaussian"), {"likelihood": {}}, hparams)
    found["numbers"] |= report.latents((evaluate.Posteriors(*np.zeros((3, 2, 4))),))
    table = report.table(found)
    assert " 0 " in table
    assert "of 4 latents, n = 2" in table
    for part in ("digits, test split, best checkpoint, step 10 (epoch 2)", "-3.000"):
        assert part in table
    for part in ("+- 1.000", "nats per image, n = 2", "bits_per_dim", "sigma"):
        assert part in table
    assert "density" in table
