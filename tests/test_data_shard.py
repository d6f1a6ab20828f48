"""Sets that are written to npy files image by image."""

import numpy as np
import pytest
from conftest import anything
from PIL import Image
from tfds_sets import labelled, prepare, stored

from vae_jax.data import counting, own_npy, shard

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (13, 4, 3), dtype=np.uint8)


def png_folder(root, size=(4, 3)):
    for number, image in enumerate(IMAGES):
        part = "train" if number < 10 else "test"
        path = root / part / f"class{number % 2}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[: size[0], : size[1]]).save(path)
    return root


def test_a_folder_becomes_files_with_its_parts_and_classes(tmp_path):
    root, out = png_folder(tmp_path / "png"), tmp_path / "out"
    parts = shard.examples("folder", anything(path=str(root)))
    shard.write(out, parts, shard_bytes=4 * 4 * 3 + 5)  # four images a file
    assert sorted(path.name for path in out.iterdir()) == [
        "test-00000-of-00001.npy",
        "test_labels.npy",
        "train-00000-of-00003.npy",
        "train-00001-of-00003.npy",
        "train-00002-of-00003.npy",
        "train_labels.npy",
    ]
    # numpy's own reader agrees with what was written by hand.
    assert np.load(out / "train-00002-of-00003.npy").shape == (2, 4, 3, 1)
    raw = own_npy.load(str(out))
    # In the order of their paths: the even numbers are in the first folder.
    for split, numbers in (
        (raw.train, [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]),
        (raw.test, [10, 12, 11]),
    ):
        np.testing.assert_array_equal(split.images[:][..., 0], IMAGES[numbers])
        np.testing.assert_array_equal(split.labels, np.array(numbers) % 2)
    assert raw.valid is None


def test_a_set_of_tfds_becomes_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = prepare(tmp_path / "tfds", {"train": labelled(5), "test": labelled(2)})
    out = tmp_path / "out"
    flags = ["--name=tfds:tiny", f"--dir={tmp_path / 'tfds'}", f"--out={out}"]
    capsys.readouterr()
    assert shard.main(flags) == 0
    assert capsys.readouterr().out == (
        f"tfds:tiny: read from tfds {place} (its own order)\n"
        f"To train on it: --config.data.name=npy --config.data.path={out}\n"
    )
    raw = own_npy.load(str(out))
    for split, name in ((raw.train, "train"), (raw.test, "test")):
        expected = stored(place, name)
        np.testing.assert_array_equal(split.images[:], [e["image"] for e in expected])
        np.testing.assert_array_equal(split.labels, [e["label"] for e in expected])


def test_images_are_scaled_as_the_config_would(tmp_path):
    root, out = png_folder(tmp_path / "png"), tmp_path / "out"
    flags = ["--name=folder", f"--path={root}", "--image_size=2,6", "--channels=3"]
    assert shard.main([*flags, f"--out={out}"]) == 0
    assert own_npy.load(str(out)).train.images.shape == (10, 2, 6, 3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--name=mnist"], "--name: must be folder or tfds:NAME, got 'mnist'"),
        (["--name=folder"], "data.path: must name a folder for data.name=folder"),
        (
            ["--name=folder", "--image_size=8"],
            "--image_size: must be H,W, two whole numbers, got '8'",
        ),
        (["--name=folder", "--path={root}"], "images must have one size, got 4x3"),
        (
            ["--name=folder", "--path={root}", "--out={root}"],
            "--out: must be new or empty, got {root}, which holds files",
        ),
    ],
)
def test_a_mistake_is_named_and_leaves_no_set(tmp_path, capsys, flags, message):
    root = png_folder(tmp_path / "png")
    Image.fromarray(IMAGES[0, :2]).save(root / "train" / "class1" / "09.png")
    flags = [flag.format(root=root) for flag in flags]
    assert shard.main([f"--out={tmp_path / 'out'}", *flags]) == 2
    assert message.format(root=root) in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("killed", [False, True])
def test_a_set_is_whole_or_not_there_and_may_be_tried_again(tmp_path, killed):
    root, out = png_folder(tmp_path / "png"), tmp_path / "out"
    flags = ["--name=folder", f"--path={root}", f"--out={out}"]
    broken = root / "test" / "class1" / "09.png"  # train would have been written
    broken.write_bytes(b"none")
    if killed:
        (out / shard.UNFINISHED).mkdir(parents=True)
        (out / shard.UNFINISHED / "valid.npy").write_bytes(b"half")
    assert shard.main(flags) == 2
    assert not list(out.iterdir())
    broken.unlink()
    assert shard.main(flags) == 0
    assert all(path.suffix == ".npy" for path in out.iterdir())
    assert own_npy.load(str(out)).valid is None


def test_how_far_it_is_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(counting, "SECONDS_BETWEEN_LINES", 0.0)
    root = png_folder(tmp_path / "png")
    flags = ["--name=folder", f"--path={root}", f"--out={tmp_path / 'out'}"]
    assert shard.main(flags) == 0
    assert "train: 10 of 10 images" in capsys.readouterr().out
