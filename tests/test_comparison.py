"""Which runs can stand side by side, and what is said of those that cannot."""

import json
import pathlib

import numpy as np
import pytest
from evaluated import PROTOCOL, changed, config, evaluation, run, with_samples

from vae_jax import comparison, per_image
from vae_jax.run import comparing
from vae_jax.run.session import Refused


def refusal(*runs):
    with pytest.raises(ValueError, match="must be runs with comparable") as caught:
        comparison.compare(runs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("split", "valid", "split: test in a; valid in b"),
        ("data.image_shape", [7, 8, 1], "data.image_shape: 8 x 8 x 1 in a; 7 x 8 x 1"),
        ("data.test", 200, "test images: 297 in a; 200 in b"),
        (
            "bound_kind",
            "cross_entropy",
            "bound_kind: probability_mass in a; cross_entr",
        ),
        ("resolution", [4, 4], "images of the bound: whole in a; averages, 4 x 4 in b"),
        ("resolution", [8, 4], "images of the bound: whole in a; averages, 8 x 4 in b"),
    ],
)
def test_runs_of_other_data_or_another_bound_are_refused(field, value, line):
    text = refusal(run("a"), run("b", changed(evaluation(), field, value)))
    assert text.startswith("--workdirs: must be runs with comparable numbers, got diff")
    assert f"\n  {line}" in text
    assert "\nOnly runs that were trained to the end on the same data" in text
    assert "--mode=eval" not in text  # which could not mend it


def test_a_border_that_a_grown_model_sees_is_no_difference():
    padded = changed(evaluation(), "resolution", [16, 16])
    old = evaluation()
    del old["resolution"]
    comparison.check([run("a"), run("b", padded), run("c", old)], "abc")


def test_other_test_images_are_refused_by_their_sha256():
    text = refusal(run("a"), run("b", digests={"test": "ffff", "train": "1"}))
    assert "\n  sha256 of the test images: 0a1b in a; ffff in b\n" in text
    same = run("b", digests={"test": "0a1b", "train": "other"})
    comparison.check([run("a"), same], "ab")


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("data.name", "folder", "npy"),
        ("data.path", "x", "y"),
        ("data.image_size", [8, 8], [9, 8]),
        ("data.channels", 1, 3),
        ("data.num_images", 10, 20),
        ("data.test_size", 0.1, 0.2),
        ("data.split_seed", 0, 1),
        ("data.binarize", "static", "threshold"),
    ],
)
def test_what_decides_the_test_images_counts_only_where_they_are_not_recorded(
    field, one, other
):
    of_a, of_b = {field: one}, {field: other}
    comparison.check([run("a", **of_a), run("b", **of_b)], "ab")
    text = refusal(run("a", **of_a), run("b", digests={}, **of_b))
    assert f"\n  {field}: {one} in a; {other} in b\n" in text


@pytest.mark.parametrize("kind", ["density", "cross_entropy", "probability_mass"])
def test_only_probabilities_on_different_scales_stand_side_by_side(kind):
    found = changed(evaluation(), "bound_kind", kind)
    one = run("a", found, **{"data.scale": "unit"})
    other = run("b", found, **{"data.scale": "centred"})
    if kind == "probability_mass":
        return comparison.check([one, other], "ab")
    line = "data.scale, in which the bound is: unit in a; centred in b"
    assert line in refusal(one, other)


@pytest.mark.parametrize("kind", ["density", "cross_entropy", "probability_mass"])
def test_no_cross_entropy_stands_beside_what_is_of_another_likelihood(kind):
    found = changed(evaluation(), "bound_kind", kind)
    one = run("a", found, **{"loss.recon": "bce"})
    other = run("b", found, **{"loss.recon": "gaussian"})
    if kind != "cross_entropy":
        return comparison.check([one, other], "ab")
    assert "loss.recon: bce in a; gaussian in b" in refusal(one, other)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("extractor", "inception"),
        ("sha256", "cd34"),
        ("n_real", 400),
        ("n_fake", 400),
        ("image_shape", [9, 9, 1]),
        ("pixels", "draw of p(x|z)"),
    ],
)
def test_samples_measured_in_another_way_are_refused(field, value):
    other = changed(with_samples(), f"samples.protocol.{field}", value)
    runs = [run("a", with_samples()), run("b", other), run("c")]
    text = refusal(*runs)
    # The one line: what follows from it is not said again, nor is c, which has none.
    listing = f"{PROTOCOL[field]} in a; {value} in b"
    assert text.splitlines()[1:-1] == [f"  samples {field}: {listing}"]
    assert "--config.eval.extractor=NAME --config.eval.num_samples=N " in text
    assert "Evaluate them again" in text


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        (
            "numbers.iw_bound.samples",
            5000,
            "iw_bound: n = 297, samples = 50, unit = nats per image in a; "
            "n = 297, samples = 5000, unit = nats per image in b",
        ),
        ("numbers.iw_bound.n", 100, "iw_bound: n = 297, samples = 50"),
        ("numbers.elbo.n", 100, "elbo: n = 297, unit = nats per image in a; n = 100"),
        ("numbers.kl.unit", "bits", "kl: n = 297, unit = nats per image in a;"),
        (
            "samples.floor.fd_pixels.n_real",
            100,
            "floor fd_pixels: n_real = 500, unit = ",
        ),
        ("samples.floor.fd_pixels.how", "first ones", "floor fd_pixels: n_real = 500"),
        (
            "samples.prior.recall_pixels.how",
            "3 neighbours",
            "prior recall_pixels: n_real = 500, n_fake = 500, unit = share, how = fro",
        ),
    ],
)
def test_a_number_got_in_another_way_is_refused(field, value, line):
    other = changed(with_samples(), field, value)
    text = refusal(run("a", with_samples()), run("b", other))
    assert f"\n  {line}" in text
    assert len(text.splitlines()) == 3
    samples = "num_samples" in text.splitlines()[-1]
    assert samples == field.startswith("samples")
    assert ("--config.eval.iw_samples=K" in text) != samples


def test_all_that_is_different_is_said_at_once():
    other = changed(with_samples(), "samples.protocol.n_fake", 400)
    other = changed(other, "data.test", 200)
    lines = refusal(run("a", with_samples()), run("b", other)).splitlines()
    assert [line.split(":")[0] for line in lines[1:3]] == [
        "  test images",
        "  samples n_fake",
    ]
    assert lines[3].startswith("Only runs")
    assert lines[4].startswith("Evaluate them again")


def test_runs_are_called_by_as_few_parts_of_their_paths_as_tell_them_apart():
    paths = [pathlib.Path(p) for p in ("/x/one/run", "/x/two/run", "/x/three", "/run")]
    assert comparison.labels(paths) == ["one/run", "two/run", "three", "/run"]
    assert comparison.labels([pathlib.Path("/x/y/../z"), pathlib.Path("/x/w/")]) == [
        "z",
        "w",
    ]


def test_the_same_run_twice_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    paths = [tmp_path / "run", tmp_path / "other", tmp_path / "link"]
    with pytest.raises(ValueError, match="--workdirs: must all be different runs, got"):
        comparison.labels(paths)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("numbers.elbo", {}, "got no numbers.elbo.value"),
        ("data", [], "got no data.name"),
        ("epoch", "3", "got epoch = '3'"),
        ("data.image_shape", ["8"], r"got data.image_shape = \['8'\]"),
        ("resolution", 8, "got resolution = 8"),
        ("samples", {}, "got samples without a protocol"),
        ("samples", {"protocol": {}, "prior": 3}, "got samples.prior = 3"),
        ("numbers.kl", 3.0, "got kl without value and unit"),
        ("numbers.kl", {"unit": "nats"}, "got kl without value and unit"),
        ("numbers.kl", {"value": "3", "unit": "nats"}, "got kl = '3'"),
        ("numbers.kl", {"value": 3, "unit": {}}, "got kl in the unit {}"),
        ("numbers.kl", {"value": 10**400, "unit": "nats"}, "got kl of 1329 bits"),
        ("numbers.kl", {"value": -(10**400), "unit": "nats"}, "got kl of 1329 bits"),
    ],
)
def test_an_evaluation_of_another_kind_is_refused(field, value, message):
    start = r"^/runs/a/eval.json: must be what --mode=eval writes, "
    with pytest.raises(ValueError, match=start + message):
        run("a", changed(evaluation(), field, value))


def test_files_of_another_kind_are_refused():
    path = pathlib.Path("/runs/a")
    with pytest.raises(ValueError, match=r"a/config.json: must be a JSON object"):
        comparison.run_of(path, evaluation(), [], {}, {})
    with pytest.raises(ValueError, match=r"a/data.json: must be a JSON object"):
        comparison.run_of(path, evaluation(), config(), [], {})
    with pytest.raises(ValueError, match="must be the config of a run, got no model"):
        comparison.run_of(path, evaluation(), {}, {}, {})
    with pytest.raises(
        ValueError, match="must be what --mode=eval writes, got no split"
    ):
        comparison.run_of(path, [], config(), {}, {})


@pytest.fixture
def folders(tmp_path):
    """Two evaluated runs on disk."""
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "eval.json").write_text(json.dumps(with_samples()))
        (folder / "config.json").write_text(json.dumps(config()))
        (folder / "data.json").write_text(json.dumps({"test": "0a1b"}))
    return [str(tmp_path / "a"), str(tmp_path / "b")]


def test_files_of_runs_become_files_of_their_comparison(folders, tmp_path):
    out = tmp_path / "new" / "out"
    for _ in range(2):  # the second time over the first
        comparing.compare(folders, str(out))
    assert sorted(p.name for p in out.iterdir()) == ["comparison.csv", "comparison.md"]
    runs = [run("a", with_samples()), run("b", with_samples())]
    found = comparison.compare(runs)
    assert (out / "comparison.md").read_text() == comparison.as_markdown(found)
    assert (out / "comparison.csv").read_text() == comparison.as_csv(found)


def test_the_recorded_test_images_are_read(folders, tmp_path):
    (tmp_path / "b" / "data.json").write_text('{"test": "ffff"}')
    with pytest.raises(
        Refused, match="sha256 of the test images: 0a1b in a; ffff in b"
    ):
        comparing.compare(folders, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    (tmp_path / "b" / "data.json").unlink()
    comparing.compare(folders, str(tmp_path / "out"))


def test_values_of_images_are_read(folders, tmp_path):
    shift = np.linspace(0.0, 1.0, 297)
    mean = with_samples()["numbers"]["elbo"]["value"]
    for name, move in (("a", 0 * shift), ("b", shift - shift.mean())):
        per_image.write(tmp_path / name / per_image.file_name(), {"elbo": mean + move})
    comparing.compare(folders, str(tmp_path / "out"))
    assert "Difference from a, image" in (tmp_path / "out/comparison.md").read_text()
    (tmp_path / "b" / per_image.file_name()).write_text("image,elbo\n0,x\n")
    with pytest.raises(Refused, match=r"b/eval_images.csv: must be what --mode=eval "):
        comparing.compare(folders, str(tmp_path / "out"))


def test_a_damaged_evaluation_is_named(folders, tmp_path):
    (tmp_path / "b" / "eval.json").write_text("{")
    with pytest.raises(Refused, match=r"b/eval.json: must be JSON, but "):
        comparing.compare(folders, str(tmp_path))


def test_a_place_that_cannot_be_written_is_named(folders, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(Refused, match=r"--out: must be writable, got .*/file/x: "):
        comparing.compare(folders, str(tmp_path / "file" / "x"))
