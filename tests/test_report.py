"""The final evaluation."""

import math

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
PLACE = {
    "split": "test",
    "checkpoint": "best",
    "step": 10,
    "epoch": 2,
    "data": {"name": "digits"},
}
GREY = np.full((2, 4, 4, 1), 100, np.uint8)
BINARY = np.tile(np.uint8([0, 255]), 16).reshape(2, 4, 4, 1)


def model(recon="bce", **changes):
    return small.model("mlp", (4, 4, 1), recon, **({"sigma": 0.5} | changes))


def evaluation(model, images):
    on = report.bound_on(images, model, "unit")
    return {
        "bound_kind": on.kind,
        "numbers": report.evaluation(TERMS, on, "analytic", 1),
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


def test_a_stage_between_the_first_and_the_last_sees_averages():
    stages = [small.model("provae", (8, 8, 1), stage=s, start_res=2) for s in range(3)]
    assert [report.sees_whole_images(m) for m in stages] == [False, False, True]


def test_floats_of_0_and_1_are_black_and_white():
    floats = (BINARY / 255).astype(np.float32)
    assert report.is_binary(floats)
    floats[1, 2, 3] = 0.5
    assert not report.is_binary(floats)


def test_bits_of_a_density_count_the_levels_of_their_own_scale():
    nats = evaluate.Estimate(-8 * math.log(2), 0.0, 2)
    found = [report.Bound("density", 8, of).in_bits(nats) for of in ("unit", "centred")]
    # One bit for each of 8 values, and what a level's width of 1/255 or 1/256 adds.
    expected = pytest.approx([1 + math.log2(255), 1 + math.log2(256)])
    assert [bits["value"] for bits in found] == expected


def test_the_weighted_bound_is_reported_with_the_weights_it_rests_on():
    found = evaluate.Importance(np.float32([-5.0, -3.0]), np.float32([1.5, 4.5]))
    numbers = report.importance(found, report.Bound("density", 8, "unit"), 50)
    assert set(numbers) == {"iw_bound", "iw_bits_per_dim", "iw_ess"}
    assert (numbers["iw_bound"]["value"], numbers["iw_bound"]["samples"]) == (-4.0, 50)
    ess = numbers["iw_ess"]
    assert (ess["value"], ess["smallest"], ess["unit"]) == (3.0, 1.5, "of 50 samples")


@pytest.mark.parametrize("to_mixture", [False, True])
@pytest.mark.parametrize("first_of_many", [False, True])
def test_the_parts_of_the_kl_are_reported_under_their_names(first_of_many, to_mixture):
    found = evaluate.Decomposition(*np.float32([[1, 1], [2, 2], [3, 3]]))
    numbers = report.parts_of_kl(found, first_of_many, to_mixture)
    assert {name: of["value"] for name, of in numbers.items()} == {
        "mutual_information": 1.0,
        "total_correlation": 2.0,
        "dimension_wise_kl": 3.0,
    }
    assert "at most log n, 0.69" in numbers["mutual_information"]["how"]
    for of in numbers.values():
        assert of["how"].endswith(", coarsest group") == first_of_many
    # Of a mixture, the KLs of single latents are not what the last part is the sum of.
    how = numbers["dimension_wise_kl"]["how"]
    assert how.startswith("sum_j KL(") != to_mixture
    assert ("no KL, as a mixture does not split" in how) == to_mixture


def test_the_kl_of_a_group_is_reported_where_there_are_several():
    on = report.Bound("density", None, "unit")
    one = TERMS | {"kl_group_0": TERMS["kl"]}
    assert set(report.evaluation(one, on, "x", 1)) == {"elbo", "recon", "kl"}
    two = one | {"kl_group_1": 3 * TERMS["kl"]}
    numbers = report.evaluation(two, on, "x", 1)
    assert [numbers[f"kl_group_{i}"]["value"] for i in (0, 1)] == [0.75, 2.25]
    given = ", x, given one draw of the coarser groups"
    assert numbers["kl_group_0"]["how"].endswith(", x")
    assert numbers["kl_group_1"]["how"].endswith(given)
    assert numbers["kl"]["how"].endswith(given)


def test_the_bound_that_was_trained_for_is_reported_with_its_samples():
    on = report.Bound("density", None, "unit")
    found = report.evaluation(
        TERMS | {"objective_bound": TERMS["elbo"] + 1}, on, "x", 7
    )
    of_objective = found["objective_bound"]
    assert of_objective["value"] == found["elbo"]["value"] + 1
    assert "of 7 samples" in of_objective["how"]


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


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_latents_that_are_not_finite_are_not_counted_as_unused(number):
    lost = evaluate.Posteriors(*np.full((3, 2, 4), number, np.float32))
    assert report.latents((lost,))["active_units"]["value"] is None


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
        **PLACE,
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


def test_the_table_says_what_is_not_finite_and_leaves_out_errors_that_are_none():
    found = {
        **PLACE,
        "bound_kind": "density",
        "numbers": {
            "elbo": {"value": None, "standard_error": None, "unit": "nats"},
            "kl": {"value": 2.0, "standard_error": math.nan, "unit": "nats"},
        },
    }
    _, elbo, kl, _ = report.table(found).splitlines()
    assert elbo.split() == ["elbo", "not", "finite", "nats"]
    assert kl.split() == ["kl", "2.000", "nats"]
