"""The values of every test image, written and read."""

import re

import numpy as np
import pytest

from vae_jax import files, per_image


def test_what_is_written_is_read_exactly(tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
    values *= np.float32(10.0) ** np.arange(-25, 25, dtype=np.float32)[None]
    values[1, 7], values[1, 8] = np.nan, np.inf
    path = tmp_path / per_image.file_name()
    some = per_image.of_some(values[0, 3:], np.arange(3, 50), 50)
    columns = {"elbo": values[0], "kl": values[1], "iw_bound": some}
    per_image.write(path, columns)
    found = per_image.read(path)
    assert list(found) == list(columns)
    for name, expected in columns.items():
        column = found[name].astype(np.float32)
        np.testing.assert_array_equal(
            np.ma.getmaskarray(column).sum(), 3 * (expected is some)
        )
        np.testing.assert_array_equal(column.compressed(), np.ma.compressed(expected))


def test_a_line_has_the_number_of_its_image(tmp_path):
    some = per_image.of_some(np.float32([-1.5]), np.array([0]), 2)
    per_image.write(tmp_path / "x.csv", {"elbo": some, "kl": np.float32([np.nan, 0.1])})
    assert (tmp_path / "x.csv").read_text() == (
        "image,elbo,kl\n0,-1.5,nan\n1,,0.100000001\n"
    )


def test_the_file_is_named_after_the_stage():
    assert per_image.file_name() == "eval_images.csv"
    assert per_image.file_name("_stage2") == "eval_images_stage2.csv"


def test_images_that_were_left_out_have_no_value():
    column = per_image.of_some(np.float32([1, 2]), np.array([0, 3]), 5)
    np.testing.assert_array_equal(column.filled(-1), [1, -1, -1, 2, -1])


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("", "the header []"),
        ("elbo\n1\n", "the header ['elbo']"),
        ("image,elbo,elbo\n", "the header ['image', 'elbo', 'elbo']"),
        ("image,elbo\n0,1,2\n", "['0', '1', '2'] in line 2"),
        ("image,elbo\n0,1\n2,1\n", "['2', '1'] in line 3"),
        ("image,elbo\n0,1\n1", "['1'] in line 3"),  # cut off
        ("image,elbo\n0,one\n", "could not convert string to float: 'one'"),
        ("image,elbo\n0,\x00", "line contains NUL|could not convert"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_its_name(text, got, tmp_path):
    path = tmp_path / "eval_images.csv"
    path.write_text(text)
    start = re.escape(f"{path}: must be what --mode=eval writes, got ")
    got = got if "|" in got else re.escape(got)
    with pytest.raises(ValueError, match=f"^{start}({got})"):
        per_image.read(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"image,elbo\n\xff")
    with pytest.raises(ValueError, match=r"x\.csv: must be what --mode=eval writes"):
        per_image.read(tmp_path / "x.csv")


def test_one_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / per_image.file_name()
    path.write_text("before")
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError))
    with pytest.raises(files.NotWritten, match=r"eval_images\.csv: cannot be written"):
        per_image.write(path, {"elbo": np.float32([1.0])})
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
