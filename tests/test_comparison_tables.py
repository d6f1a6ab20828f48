"""The table of several runs: what is in it, as markdown and as CSV."""

import csv
import io
import re

import pytest
from evaluated import changed, evaluation, run, with_samples

from vae_jax import comparison


def rows_of_csv(runs):
    return list(
        csv.DictReader(io.StringIO(comparison.as_csv(comparison.compare(runs))))
    )


def grids(text):
    """The cells of every markdown table, as a reader of markdown splits them."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
        found.append([[cell.strip() for cell in line] for line in lines])
    return found


def column(text, name):
    head, _, *rows = grids(text)[0]
    i = [head.split(" (")[0] for head in head].index(name)
    return [row[i] for row in rows]


def test_the_csv_holds_every_number_as_it_was_measured():
    one, other = with_samples(), changed(with_samples(), "numbers.kl.value", 1 / 3)
    rows = rows_of_csv([run("a", one), run("b", other)])
    for row, found in zip(rows, (one, other), strict=True):
        numbers = dict(found["numbers"])
        for section in ("floor", "prior"):
            for name, number in found["samples"][section].items():
                numbers[f"{section} {name}"] = number
        for name, number in numbers.items():
            unit = number["unit"]
            assert float(row[f"{name} ({unit})"]) == number["value"]
            if "standard_error" in number:
                spread = row[f"{name} standard error ({unit})"]
                assert float(spread) == number["standard_error"]
        # Five columns about the run; six numbers of the bound, five with an error; four
        # of samples, one with an error.
        assert len(row) == 5 + (6 + 5) + (4 + 1)


def test_the_markdown_shows_two_digits_of_the_error_and_the_unit_in_the_header():
    found = comparison.compare([run("a", with_samples()), run("b", with_samples())])
    text = comparison.as_markdown(found)
    assert "| elbo (nats per image) " in text
    assert "| prior kid_pixels (squared MMD) " in text
    assert column(text, "elbo") == ["-24.02 +- 0.19"] * 2
    assert column(text, "bits_per_dim") == ["0.5414 +- 0.0042"] * 2
    assert column(text, "prior kid_pixels") == ["0.0123 +- 0.0020"] * 2
    assert column(text, "prior fd_pixels") == ["12.35"] * 2  # no error: four digits
    assert column(text, "active_units") == ["7"] * 2
    head, rule, *rows = text.splitlines()[:4]
    assert len({len(line) for line in (head, rule, *rows)}) == 1


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (994.96, 74.4, "995 +- 74"),
        (-1234.56, 210.4, "-1235 +- 210"),
        (0.00146, 0.000099, "0.001460 +- 0.000099"),
        (123456.7, None, "123457"),
        (0.0, None, "0.000"),
        (-0.5, 0.0, "-0.5000"),
        (1.0, None, "1.000"),
        (20, None, "20"),
        (20, 0.5, "20.00 +- 0.50"),
        (1e-30, 1e-31, "1.000e-30 +- 1.000e-31"),
        (None, None, "not finite"),
        (float("inf"), 1.0, "not finite"),
        (2.0, float("nan"), "2.000"),
    ],
)
def test_a_number_is_rounded_to_what_is_known_of_it(value, error, text):
    number = {"value": value, "standard_error": error, "n": 297, "unit": "x"}
    one = changed(evaluation(), "numbers.recon", number)
    shown = comparison.as_markdown(comparison.compare([run("a", one), run("b", one)]))
    assert column(shown, "recon") == [text] * 2


def test_what_a_run_lacks_is_an_empty_cell():
    bare = evaluation()
    del bare["numbers"]["iw_bound"]
    runs = [run("a", bare), run("b", with_samples())]
    text = comparison.as_markdown(comparison.compare(runs))
    assert column(text, "iw_bound") == ["", "-23.50 +- 0.18"]
    assert column(text, "prior fd_pixels") == ["", "12.35"]
    first, second = rows_of_csv(runs)
    assert first["prior fd_pixels (squared units)"] == ""
    assert second["prior fd_pixels (squared units)"] == "12.3456"
    assert "prior fd_pixels" not in comparison.as_markdown(
        comparison.compare([run("a", bare), run("b", bare)])
    )


def test_what_is_not_finite_is_no_empty_cell_and_never_the_best():
    lost = changed(evaluation(), "numbers.elbo.value", None)  # as eval.json has NaN
    worse = changed(evaluation(), "numbers.elbo.value", -30.0)
    runs = [run("a", lost), run("b"), run("c", worse)]
    text = comparison.as_markdown(comparison.compare(runs))
    assert column(text, "elbo") == [
        "not finite",
        "**-24.02 +- 0.19**",
        "-30.00 +- 0.19",
    ]
    assert rows_of_csv(runs)[0]["elbo (nats per image)"] == "nan"


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("elbo", "high"),
        ("recon", None),
        ("kl", None),
        ("bits_per_dim", "low"),
        ("iw_bound", "high"),
        ("active_units", None),
        ("floor fd_pixels", None),
        ("prior fd_pixels", "low"),
        ("prior kid_pixels", "low"),
        ("prior recall_pixels", "high"),
        ("prior precision_pixels", "high"),
        ("prior density_pixels", "high"),
        ("prior coverage_pixels", "high"),
        ("prior fid", "low"),
        ("iw_bits_per_dim", "low"),
    ],
)
def test_the_best_of_a_column_is_bold_where_better_is_defined(name, best):
    section, _, short = name.rpartition(" ")
    field = f"samples.{section}.{short}" if section else f"numbers.{short}"
    values = {"a": 2, "b": 1, "c": 2, "d": 0}
    runs = [
        run(n, changed(with_samples(), field, {"value": v, "unit": "x"}))
        for n, v in values.items()
    ]
    cells = column(comparison.as_markdown(comparison.compare(runs)), name)
    bold = [i for i, cell in enumerate(cells) if cell.startswith("**")]
    assert bold == {"high": [0, 2], "low": [3], None: []}[best]


def test_a_number_without_a_rival_is_not_the_best():
    runs = [run("a"), run("b", with_samples())]
    text = comparison.as_markdown(comparison.compare(runs))
    assert "**" not in text


def test_latents_are_counted_beside_how_many_there_are():
    other = changed(evaluation(), "numbers.active_units.unit", "of 40 latents")
    other = changed(other, "numbers.active_units.n", 100)
    runs = [run("a"), run("b", other)]
    text = comparison.as_markdown(comparison.compare(runs))
    assert column(text, "active_units") == ["7 of 10 latents", "7 of 40 latents"]
    assert "active_units: of different numbers of images, 297 in a; 100 in b." in text
    rows = rows_of_csv(runs)
    assert [row["active_units"] for row in rows] == ["7", "7"]
    assert rows[1]["active_units unit"] == "of 40 latents"


def test_a_floor_of_more_training_images_is_shown_and_said():
    other = changed(with_samples(), "samples.floor.fd_pixels.n_fake", 100)
    runs = [run("a", with_samples()), run("b", other)]
    text = comparison.as_markdown(comparison.compare(runs))
    line = "floor: of different numbers of images, 500 in a; 100 in b."
    assert text.count(line) == 1


def test_the_protocol_stands_once_below_the_table():
    warned = changed(with_samples(), "samples.protocol.warning", "too few")
    runs = [run("a"), run("b", warned), run("c", warned)]
    text = comparison.as_markdown(comparison.compare(runs))
    assert text.count("sha256 ab12") == 1
    assert "extractor pixels" in text
    assert "500 test images, 500 samples, image: mean of p(x|z), rounded" in text
    assert text.count("Warning: too few.") == 1
    assert "digits, test split: 297 images of 8 x 8 x 1" in text
    assert (
        "iw_bound: importance-weighted bound, 50 samples for each image, n = 297"
        in (text)
    )


def test_model_epochs_and_checkpoint_are_shown():
    older = changed(evaluation(), "epoch", 2)
    older.pop("parameters")  # as in versions that did not say
    found = comparison.compare([run("a"), run("b", older, **{"model.name": "cnn"})])
    assert found.about == (
        ("a", "mlp", "1234", "3", "best"),
        ("b", "cnn", "", "3", "best, epoch 2"),
    )


def test_config_fields_that_differ_are_listed_but_not_names_places_and_evaluation():
    one = {"data.dir": "/x", "eval.batch_size": 1, "exp_name": "p", "loss.beta": 1.0}
    two = {"data.dir": "/y", "eval.batch_size": 2, "exp_name": "q", "loss.beta": 4.0}
    runs = [
        run("a", **one, **{"train.epochs": 3, "optim.lr": [0.1], "loss.kl": "mc"}),
        run("b", **two, **{"train.epochs": 5, "optim.lr": [0.1, 0.2]}),
    ]
    text = comparison.as_markdown(comparison.compare(runs))
    head, _, *rows = grids(text)[1]
    assert head == ["field", "a", "b"]
    assert sorted(rows) == [
        ["loss.beta", "1.0", "4.0"],
        ["optim.lr", "0.1", "0.1,0.2"],
        ["train.epochs", "3", "5"],
    ]
    assert "Not in the config of every run: loss.kl." in text


def test_one_value_for_all_stages_is_the_same_with_and_without_a_list():
    runs = [run("a", **{"model.z_dim": 20}), run("b", **{"model.z_dim": [20]})]
    text = comparison.as_markdown(comparison.compare(runs))
    assert len(grids(text)) == 1
    assert "Config fields" not in text


STRANGE = ["a,b", "a|b", "a\nb", 'a"b', "a*b*", "<b>", "_a_", "\udcff", "`|`"]


@pytest.mark.parametrize("name", STRANGE)
def test_a_folder_of_any_name_leaves_the_tables_whole(name):
    runs = [run(name, **{"loss.beta": 1.0}), run("plain", **{"loss.beta": 2.0})]
    shown = name.replace("\n", "\\n").replace("\udcff", "\\udcff")
    found = comparison.compare(runs)
    text = comparison.as_markdown(found)
    text.encode()
    numbers, fields = grids(text)
    assert {len(row) for row in numbers} == {len(numbers[0])}
    assert re.sub(r"\\(.)", r"\1", numbers[2][0]) == shown
    assert {len(row) for row in fields} == {3}
    turned = grids(comparison.as_markdown(found, turned=True))[0]
    assert {len(row) for row in turned} == {3}
    rows = rows_of_csv(runs)
    assert [row["run"] for row in rows] == [shown, "plain"]
    assert [row["model"] for row in rows] == ["mlp", "mlp"]


def test_a_turned_table_has_the_same_cells():
    found = comparison.compare([run("a"), run("b", with_samples())])
    head, _, *rows = grids(comparison.as_markdown(found))[0]
    top, _, *turned = grids(comparison.as_markdown(found, turned=True))[0]
    assert [top, *turned] == [list(row) for row in zip(head, *rows, strict=True)]
