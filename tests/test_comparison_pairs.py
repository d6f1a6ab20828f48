"""How far runs are from the first, image by image."""

import math
import re

import numpy as np
import pytest
from evaluated import changed, evaluation, run
from scipy import stats

from vae_jax import comparison

NUM = 297
RNG = np.random.default_rng(0)
EASY = RNG.normal(-24.0, 3.0, NUM)  # most of the spread is that of the images
GAIN = RNG.normal(0.5, 0.2, NUM)


def of(name, values, **columns):
    found = changed(evaluation(), "numbers.elbo.value", float(values.mean()))
    return run(name, found, images={"elbo": np.ma.array(values), **columns})


def pairs(*runs):
    return {column.name: column for column in comparison.compare(runs).pairs}


def test_the_difference_is_that_of_a_paired_test():
    first, other = pairs(of("a", EASY), of("b", EASY + GAIN))["elbo"].cells
    assert first is None
    test = stats.ttest_rel(EASY + GAIN, EASY)
    assert other["value"] == pytest.approx(GAIN.mean())
    assert other["value"] / other["standard_error"] == pytest.approx(test.statistic)
    assert other["n"] == NUM
    apart = math.hypot((EASY + GAIN).std(), EASY.std()) / math.sqrt(NUM)
    assert other["standard_error"] < apart / 10


def test_bits_per_dim_go_down_where_nats_go_up():
    found = pairs(of("a", EASY), of("b", EASY + GAIN))
    nats, bits = (found[name].cells[1] for name in ("elbo", "bits_per_dim"))
    assert bits["value"] == pytest.approx(-nats["value"] / (64 * math.log(2)))
    assert bits["standard_error"] > 0
    assert bits["unit"] == "bits per value"


def test_only_images_that_both_have_a_value_of_count():
    some, more = np.ma.array(EASY), np.ma.array(EASY + GAIN)
    some[:100], more[50:120] = np.ma.masked, np.ma.masked
    found = changed(evaluation(), "numbers.iw_bound.value", float(some.mean()))
    other = changed(evaluation(), "numbers.iw_bound.value", float(more.mean()))
    runs = (
        run("a", found, images={"iw_bound": some}),
        run("b", other, images={"iw_bound": more}),
    )
    cell = pairs(*runs)["iw_bound"].cells[1]
    assert cell["n"] == NUM - 120
    assert cell["value"] == pytest.approx(GAIN[120:].mean())


def test_one_image_alone_has_no_difference():
    one = np.ma.masked_all(NUM)
    one[7] = EASY[7]
    found = changed(evaluation(), "numbers.elbo.value", float(EASY[7]))
    assert pairs(of("a", EASY), run("b", found, images={"elbo": one})) == {}


def test_runs_without_values_of_images_have_no_differences():
    assert pairs(run("a"), run("b")) == {}
    found = pairs(of("a", EASY), run("b"), of("c", EASY + GAIN))["elbo"]
    assert found.cells[:2] == (None, None)
    assert found.cells[2]["value"] == pytest.approx(GAIN.mean())
    assert pairs(run("a"), of("b", EASY)) == {}


def test_an_image_on_which_a_run_fails_is_not_left_out():
    failed = EASY + GAIN
    failed[5] = np.nan
    found = changed(evaluation(), "numbers.elbo.value", None)
    runs = [of("a", EASY), run("b", found, images={"elbo": np.ma.array(failed)})]
    text = comparison.as_markdown(comparison.compare(runs))
    assert re.search(r"\| elbo \(nats per image\) +\| not finite \| 297 \|", text)
    with pytest.raises(ValueError, match=r"mean of eval.json in elbo, -24.*, got nan;"):
        run("b", images={"elbo": np.ma.array(failed)})


def test_a_run_without_a_number_takes_it_from_no_other():
    columns = {"iw_bound": np.ma.array(EASY)}
    found = changed(evaluation(), "numbers.iw_bound.value", float(EASY.mean()))
    bits = {"value": 0.5, "n": NUM, "unit": "bits per value"}
    found = changed(found, "numbers.iw_bits_per_dim", bits)
    full = [run(name, found, images=columns) for name in ("a", "c")]
    without = of("b", EASY)
    cells = pairs(full[0], without, full[1])["iw_bits_per_dim"].cells
    assert cells[1] is None
    assert cells[2]["value"] == 0
    assert str(cells[2]["value"]) == "0.0"  # and not -0.0


def test_runs_of_which_there_are_no_values_are_named():
    text = comparison.as_markdown(comparison.compare([of("a", EASY), run("b")]))
    assert "No differences image by image of b, which an older version has" in text


def test_the_table_has_a_row_for_each_number_and_a_column_for_each_other_run():
    runs = [of("a", EASY), run("b"), of("c", EASY + GAIN)]
    text = comparison.as_markdown(comparison.compare(runs))
    table = text.split("Difference from a, image by image:\n\n")[1].split("\n\n")[0]
    head, _, elbo, bits = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()
    )
    assert head == ["number", "b", "c", "n"]
    error = GAIN.std(ddof=1) / math.sqrt(NUM)
    shown = f"{GAIN.mean():.3f} +- {error:.3f}"
    assert elbo == ["elbo (nats per image)", "", shown, "297"]
    assert re.match(r"-0\.\d+ \+- 0\.\d+$", bits[2])
    rows = comparison.as_csv(comparison.compare(runs)).splitlines()
    assert rows[0].count("difference") == 6  # two numbers, their errors, n of each
    assert rows[0].count("difference from a elbo n,") == 1
    assert rows[3].split(",")[-4] == "297"
    assert f"{GAIN.mean():.6f}"[:6] in rows[3]


def test_values_of_other_images_than_the_evaluation_s_are_refused():
    start = r"^/runs/a/eval_images.csv: must have "
    of_elbo = "the mean of eval.json in elbo, -24."
    with pytest.raises(ValueError, match=start + "a line for each of 297 test images"):
        run("a", images={"elbo": np.ma.array(EASY[:-1])})
    to_mean = evaluation()["numbers"]["elbo"]["value"] - EASY.mean()
    run("a", images={"elbo": np.ma.array(EASY + to_mean)})
    for off in (1.0, 0.01):
        with pytest.raises(ValueError, match=start + of_elbo):
            run("a", images={"elbo": np.ma.array(EASY + to_mean + off)})
