"""The report of a run as one page."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from html_runs import (
    CONFIG,
    FILES,
    FOUND,
    GIF,
    NEEDED,
    PNG,
    ROWS,
    SAMPLES,
    change,
    made,
    page,
)

from vae_jax import html
from vae_jax.html import pictures


@pytest.fixture
def folder(tmp_path):
    return made(tmp_path)


def test_a_whole_run_has_every_section(folder):
    found = page(folder)
    assert found.inside("h2") == list(NEEDED)
    assert found.inside("h1") == found.inside("title") == ["first run"]
    assert "mlp on mnist, 4x4x1" in found.text
    assert "Test images, best checkpoint, step 14040, epoch 30" in found.text


@pytest.mark.parametrize("missing", [*FILES, "metrics.jsonl", "plots/samples.png"])
def test_a_section_without_its_files_is_left_out(folder, missing):
    (folder / missing).unlink()
    rest = [name for name, files in NEEDED.items() if files != [missing]]
    assert page(folder).inside("h2") == rest


def test_an_empty_folder_has_a_page_without_sections(tmp_path):
    found = page(tmp_path)
    assert found.inside("h1") == ["A run"]
    assert not {"section", "table", "img", "nav", "dl"} & set(found.tags)


@pytest.mark.parametrize(
    ("part", "section"), [("samples", "Samples"), ("kl_per_dimension", "Latents")]
)
def test_an_older_evaluation_lacks_only_the_sections_it_knows_nothing_of(
    folder, part, section
):
    found = {k: v for k, v in FOUND.items() if k != part}
    (folder / "eval.json").write_text(json.dumps(found))
    assert page(folder).inside("h2") == [name for name in NEEDED if name != section]


def test_a_page_is_well_formed_and_its_links_lead_somewhere(folder):
    found, text = page(folder), (folder / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert dict(found.attributes)["lang"] == "en"
    ids = found.values("id")
    assert len(ids) == len(set(ids)) == len(NEEDED)
    links = [link for link in found.values("href") if link != "data:,"]
    assert links == [f"#{name}" for name in ids]
    assert len(found.values("alt")) == found.tags.count("img") == 1


def test_a_page_asks_for_nothing_from_elsewhere(folder):
    found = page(folder)
    assert all(source.startswith("data:image/") for source in found.values("src"))
    assert not {"script", "iframe", "object", "form", "base"} & set(found.tags)
    (style,) = found.inside("style")
    assert not re.search(r"url\(|@import|//", style)
    assert any("default-src 'none'" in value for value in found.values("content"))


@pytest.mark.parametrize("name", pictures.TEXTS)
def test_the_bytes_of_every_picture_are_in_the_page(folder, name):
    (folder / "plots" / "samples.png").unlink()
    content = GIF if name.endswith("gif") else PNG
    (folder / "plots" / name).write_bytes(content)
    (source,) = page(folder).values("src")
    kind, encoded = source.split(",")
    assert kind == f"data:image/{name[-3:]};base64"
    assert base64.b64decode(encoded, validate=True) == content


def test_a_picture_that_is_too_large_is_named_instead(folder):
    large = bytes(pictures.LARGEST + 1)
    (folder / "plots" / "growth.gif").write_bytes(large)
    found = page(folder)
    assert len(found.values("src")) == 1  # the samples
    assert "growth.gif has more than 4.0 MB and is not shown here" in found.text


def test_a_finished_stage_has_a_page_of_its_own(folder):
    before = html.write(folder).read_bytes()
    stage = FOUND | {"step": 777, "resolution": [2, 2]}
    (folder / "eval_stage0.json").write_text(json.dumps(stage))
    (folder / "plots" / "stage0").mkdir()
    (folder / "plots" / "stage0" / "curves.png").write_bytes(PNG)
    found = page(folder, "_stage0")
    assert "step 777, epoch 30, resolution 2x2" in found.text
    assert found.values("alt") == ["Curves"]
    assert (folder / "report_stage0.html").exists()
    assert (folder / "report.html").read_bytes() == before


MALICE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&lt;"


# Names that the page looks for; any other name of a file can be malice too.
KNOWN = {*FOUND, *SAMPLES, *CONFIG, "name", "value", "standard_error", "n", "how"}
KNOWN |= {"n_real", "n_fake", "unit", "elbo", "fd_pixels", "started", "command"}


def poisoned(tree):
    """JSON with the same numbers, and malice in every text and every other name."""
    if isinstance(tree, dict):
        return {k if k in KNOWN else MALICE + k: poisoned(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [*map(poisoned, tree)]
    return MALICE if isinstance(tree, str) else tree


def test_what_the_files_hold_never_becomes_markup(folder):
    plain = page(folder)
    for name, content in FILES.items():
        (folder / name).write_text(json.dumps(poisoned(content)))
    rows = "".join(json.dumps(poisoned(row)) + "\n" for row in ROWS)
    (folder / "metrics.jsonl").write_text(rows)
    found = page(folder)
    assert set(found.tags) == set(plain.tags)
    assert {name for name, _ in found.attributes} == {
        name for name, _ in plain.attributes
    }
    assert found.inside("h1") == found.inside("title") == [MALICE]
    names = ["elbo", "fd_pixels", "started", "data.name", "model.name"]
    assert set(names) <= set(found.inside("code"))
    for name in ("extractor", "precision_pixels", "stage", "z_dim", "versions", "jax"):
        assert MALICE + name in found.text


def test_the_same_files_give_the_same_page_in_any_folder_and_process(folder):
    copy = shutil.copytree(folder, folder / "copy")
    code = "import pathlib, sys; from vae_jax import html; "
    code += "html.write(pathlib.Path(sys.argv[1]))"
    for seed, place in enumerate((folder, copy)):  # of the order of sets
        command = [sys.executable, "-c", code, str(place)]
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        subprocess.run(command, check=True, env=environment)
    first, second = folder / "report.html", copy / "report.html"
    assert first.read_bytes() == second.read_bytes()


def test_an_evaluation_may_be_given_before_it_is_written(folder):
    whole = html.write(folder).read_bytes()
    found = json.loads((folder / "eval.json").read_text())
    (folder / "eval.json").unlink()
    assert html.write(folder, found=found).read_bytes() == whole


def test_damaged_rows_are_left_out(folder):
    whole = html.write(folder).read_bytes()
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b"\xff\n5\n" + b"[" * 9999 + b'\n{"step": 9, "ep')
    assert html.write(folder).read_bytes() == whole


def test_text_that_utf8_cannot_hold_is_replaced(folder):
    change(folder, "config.json", exp_name="half \ud800 é")
    assert page(folder).inside("h1") == ["half ? é"]


def half_written(path, text, **_):
    path.write_bytes(text.encode()[: len(text) // 2])
    raise OSError("disk full")


def not_renamed(source, target):
    raise OSError("disk full")


@pytest.mark.parametrize(
    ("function", "failing"),
    [("pathlib.Path.write_text", half_written), ("os.replace", not_renamed)],
)
def test_a_page_that_cannot_be_written_leaves_the_one_before(
    folder, monkeypatch, function, failing
):
    before = html.write(folder).read_bytes()
    change(folder, "config.json", exp_name="second run")
    with monkeypatch.context() as patched:
        patched.setattr(function, failing)
        with pytest.raises(OSError, match="disk full"):
            html.write(folder)
    assert (folder / "report.html").read_bytes() == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert b"second run" in html.write(folder).read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("eval.json", "{", "eval.json: must be JSON, but "),
        ("config.json", "[1]", r"config.json: must be a JSON object, got \[1\]"),
        ("environment.json", "{}", r"environment.json: must be a JSON array, got \{\}"),
    ],
)
def test_a_file_that_holds_something_else_is_an_error(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        html.write(folder)
    assert not (folder / "report.html").exists()
