"""The report of a run as one page."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from vae_jax import html
from vae_jax.html import elements, pictures

NUMBER = {"value": -99.2210, "standard_error": 0.2568, "n": 100, "unit": "nats"}
SAMPLES = {
    "protocol": {"extractor": "pixels", "n_real": 70, "image_shape": [4, 4, 1]},
    "floor": {"fd_pixels": {"value": 27.2358, "how": "70 training images"}},
    "reconstruction": {"fd_pixels": {"value": 11.7587, "how": "reconstructions"}},
    "prior": {
        "fd_pixels": {
            "value": 119.3619,
            "n_real": 70,
            "n_fake": 80,
            "unit": "squared units",
            "how": "samples from the prior",
        },
        "precision_pixels": {"value": 0.8395, "how": "prior; 5 nearest neighbours"},
    },
    "mixture": {"fd_pixels": {"value": 46.9375, "how": "samples from a mixture"}},
}
FOUND = {
    "split": "test",
    "checkpoint": "best",
    "step": 14040,
    "epoch": 30,
    "data": {"name": "mnist", "source": "cache", "train": 60, "image_shape": [4, 4, 1]},
    "bound_kind": "density",
    "numbers": {"elbo": NUMBER | {"how": "a bound on the log-density"}},
    "kl_per_dimension": [[1.25, None], [0.5]],
    "samples": SAMPLES,
}
CONFIG = {
    "exp_name": "first run",
    "data": {"name": "mnist", "dir": ""},
    "model": {"name": "mlp", "z_dim": [20]},
}
PROCESSES = [
    {"started": "monday", "command": ["main.py", "--a=b c"], "git_commit": None},
    {"started": "tuesday", "devices": ["cpu: cpu"], "versions": {"jax": "0.10.2"}},
]
ROWS = [
    {"epoch": 1, "stage": 0, "split": "train", "elbo": -160.5},
    {"epoch": 2, "stage": 0, "split": "train", "elbo": None},
]
FILES = {
    "config.json": CONFIG,
    "environment.json": PROCESSES,
    "data.json": {"train": "ab12", "valid": "cd34", "test": "ef56"},
    "eval.json": FOUND,
}
# Which sections each file is needed for; a section with two has parts of either.
NEEDED = {
    "Numbers": ["eval.json"],
    "Samples": ["eval.json"],
    "Images": ["plots/samples.png"],
    "Latents": ["eval.json"],
    "Training": ["metrics.jsonl"],
    "Data": ["eval.json", "data.json"],
    "Config": ["config.json"],
    "Environment": ["environment.json"],
}
# Any bytes will do: they are copied. All byte values, so that none is lost on the way.
PNG, GIF = b"\x89PNG" + bytes(range(256)), b"GIF89a" + bytes(range(256))
VOID = {"meta", "link", "img"}


class Page(HTMLParser):
    """What a page is made of; every start tag must have its end tag, in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names)
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def values(self, name):
        return [value for key, value in self.attributes if key == name]

    def inside(self, tag):
        return [text for where, text in self.texts if where == tag]

    @property
    def text(self):
        return " ".join(text for where, text in self.texts if where != "style")


@pytest.fixture
def folder(tmp_path):
    """A run directory with something for every section."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(json.dumps(content))
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "metrics.jsonl").write_text(lines)
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "samples.png").write_bytes(PNG)
    return tmp_path


def change(folder, name, **changes):
    content = json.loads((folder / name).read_text()) | changes
    (folder / name).write_text(json.dumps(content))


def page(folder, suffix=""):
    return Page(html.write(folder, suffix).read_text(encoding="utf-8"))


def cells(folder, first):
    """The cells of the one row of the page that begins with ``first``."""
    text = html.write(folder).read_text(encoding="utf-8")
    rows = [Page(row) for row in re.findall(r"<tr>.*?</tr>", text)]
    (row,) = [row for row in rows if row.texts and row.texts[0][1] == first]
    return [text for _, text in row.texts[1:]]


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
    assert "growth.gif has 4.0 MB and is not shown here" in found.text


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


def test_text_and_attributes_are_escaped_and_markup_is_not():
    made = elements.element("p", "<b>", elements.element("i", "&"), title='"<')
    assert made == '<p title="&quot;&lt;">&lt;b&gt;<i>&amp;</i></p>'


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        # Two digits of the error decide how many of the value there are.
        (-99.2210, 0.2568, "-99.22 ± 0.26"),
        (9.13376, 0.00433, "9.1338 ± 0.0043"),
        (994.96, 74.44, "995 ± 74"),
        (1e-12, 2.5e-13, "1e-12 ± 2.5e-13"),
        (3.0, 0.0, "3 ± 0"),
        (17, 0.5, "17.00 ± 0.50"),
        (None, None, "not finite ± not finite"),
        (-4.25, None, "-4.25 ± not finite"),
    ],
)
def test_a_number_has_the_digits_that_its_error_gives(value, error, shown):
    assert elements.measured({"value": value, "standard_error": error}) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (119.36193, "119.36"),
        (17, "17"),
        (10_000, "10000"),
        (None, "not finite"),
        (float("nan"), "not finite"),
        (float("-inf"), "not finite"),
        ("words", "words"),
        (True, "true"),
        ([4, 4], "[4, 4]"),
    ],
)
def test_a_number_without_an_error_has_five_digits(value, shown):
    assert elements.measured({"value": value}) == shown


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
    assert cells(folder, "group 0") == ["2", "1.25, 1 not finite", "1.250, not finite"]
    assert cells(folder, "group 1") == ["1", "0.50", "0.500"]


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
