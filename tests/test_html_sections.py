"""What a report shows of a run, section by section."""

import json

import pytest
from html_runs import FOUND, SAMPLES, cells, change, made, page


@pytest.fixture
def folder(tmp_path):
    return made(tmp_path)


def test_numbers_have_their_unit_count_and_how(folder):
    elbo = FOUND["numbers"]["elbo"] | {"smallest": 1.5}
    change(folder, "eval.json", numbers={"elbo": elbo})
    row = ["-99.22 ± 0.26", "nats", "100", "a bound on the log-density; smallest 1.5"]
    assert cells(folder, "elbo") == row
    said = ["Kind of bound: ", ". A bound on the log-density."]
    assert [text for text in page(folder).inside("p") if text in said] == said


def test_sets_of_samples_stand_side_by_side(folder):
    head = cells(folder, "measure")
    assert head == [
        "floor",
        "70 training images",
        "reconstruction",
        "reconstructions",
        "prior",
        "samples from the prior; 80 against 70",
        "mixture",
        "samples from a mixture",
        "unit",
        "how",
    ]
    distances = ["27.236", "11.759", "119.36", "46.938"]
    assert cells(folder, "fd_pixels")[:4] == distances
    # Of one set alone: its cell and how; the others are empty, without a text.
    assert cells(folder, "precision_pixels") == ["0.8395", "5 nearest neighbours"]
    facts = page(folder).inside("dd")
    assert facts == ["-99.22 ± 0.26", "119.36", "46.938"]


def test_the_floor_stands_below_each_distance_at_the_top(folder):
    assert page(folder).inside("small").count("floor 27.236") == 2


def test_a_warning_of_the_protocol_is_a_paragraph_of_its_own(folder):
    protocol = SAMPLES["protocol"] | {"warning": "too few images"}
    change(folder, "eval.json", samples=SAMPLES | {"protocol": protocol})
    found = page(folder)
    assert found.inside("p").count("too few images") == 1
    assert "warning" in found.values("class")


def test_latents_that_are_not_finite_are_counted(folder):
    nats = ["1.25, 1 not finite", "estimated", "1.250, not finite"]
    assert cells(folder, "group 0") == ["2", *nats]
    assert cells(folder, "group 1") == ["1", "0.50", "in closed form", "0.500"]


def test_the_last_row_of_every_stage_and_split_is_shown(folder):
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"epoch": 4, "stage": 1, "split": "train"}) + "\n")
        file.write('{"epoch": 5, "sta')  # a process that was killed
    assert cells(folder, "2") == ["0", "train", "not finite"]
    assert cells(folder, "4") == ["1", "train"]


def test_splits_have_their_sizes_and_digests(folder):
    assert cells(folder, "train") == ["60", "ab12"]
    assert cells(folder, "test") == ["ef56"]


def test_every_field_of_the_config_is_shown_by_its_full_name(folder):
    fields = {"exp_name": "first run", "data.dir": '""', "model.z_dim": "[20]"}
    for field, value in fields.items():
        assert cells(folder, field) == [value]


def test_every_process_is_shown_and_the_last_one_is_open(folder):
    found = page(folder)
    assert found.inside("summary") == [
        "Process 1 of 2, started monday",
        "Process 2 of 2, started tuesday",
    ]
    assert cells(folder, "command") == ["main.py '--a=b c'"]
    assert cells(folder, "git_commit") == ["unknown"]
    assert cells(folder, "versions") == ["jax 0.10.2"]
    assert [a for a in found.attributes if a[0] == "open"] == [("open", "")]
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert text.index("monday") < text.index("<details open") < text.index("tuesday")
