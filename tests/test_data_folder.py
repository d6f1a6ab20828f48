"""Folders of images as people have them."""

import functools
import logging
import os
import threading
import tracemalloc
import weakref
from concurrent import futures

import numpy as np
import pytest
from conftest import anything
from PIL import Image

from vae_jax import data
from vae_jax.data import cache, decoding, folder


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "images"
    path.mkdir()
    return path


def put(path, value=0, size=(4, 3), channels=1):
    """An image file all of whose bytes are ``value``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size, channels), value, np.uint8).squeeze()
    Image.fromarray(pixels).save(path)


def load(root, **changes):
    return folder.load(anything(path=str(root), **changes))


def values(split):
    return split.images[:, 0, 0, 0].tolist()


def test_images_come_in_the_order_of_their_names(root):
    for value, name in enumerate(["a.png", "b/1.png", "b/2.png", "b.png"]):
        put(root / name, value)
    raw = load(root)
    # "." comes before "/": b.png before what lies in b.
    assert values(raw.train) == [0, 3, 1, 2]
    assert raw.train.images.shape == (4, 4, 3, 1)
    assert raw.train.images.dtype == np.uint8
    assert (raw.test, raw.valid, raw.train.labels) == (None, None, None)
    assert raw.source == f"files in {root}"


def test_the_order_is_not_the_file_system_s(root, monkeypatch):
    for value in range(5):
        put(root / f"{value}.png", value)
    scandir = os.scandir
    monkeypatch.setattr(
        os, "scandir", lambda p: sorted(scandir(p), key=lambda e: e.name, reverse=True)
    )
    assert values(load(root).train) == [0, 1, 2, 3, 4]


def test_all_spellings_of_the_formats_count_and_nothing_else(root):
    names = ["a.png", "b.PNG", "c.jpg", "d.JPG", "e.jpeg", "f.Jpeg"]
    for value, name in enumerate(names):
        put(root / name, 10 * value)
    for name in ("notes.txt", "a.gif", "png", ".hidden.png", ".git/a.png"):
        put(root / "x.png", 255)
        (root / name).parent.mkdir(exist_ok=True)
        (root / "x.png").rename(root / name)
    assert values(load(root).train) == [0, 10, 20, 30, 40, 50]


def test_parts_are_subfolders(root):
    for value, part in enumerate(["train", "valid", "test"]):
        put(root / part / "a.png", value)
        put(root / part / "deep" / "er" / "b.png", value)
    raw = load(root)
    assert [values(s) for s in (raw.train, raw.valid, raw.test)] == [
        [0] * 2,
        [1] * 2,
        [2] * 2,
    ]
    (root / "valid").rename(root / "other")
    assert load(root).valid is None


@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_test_folder_without_train_is_refused_not_trained_on(root, part):
    put(root / "a.png")
    put(root / part / "b.png")
    with pytest.raises(ValueError, match="must hold train/ beside") as caught:
        folder.load(anything(path=str(root)))
    expected = f"{root}: must hold train/ beside {part}/, and does not"
    assert str(caught.value) == expected


def test_what_lies_beside_the_parts_is_said_to_be_left_out(root, caplog):
    for name in ("train/a.png", "test/a.png", "other/a.png", "b.png"):
        put(root / name)
    assert len(load(root).train.images) == 1
    assert caplog.messages[0] == (
        f"folder: 2 images in {root} are in none of train, test and left out"
    )


@pytest.mark.parametrize("inside", ["", "train/"])
@pytest.mark.parametrize("name", ["Test", "val", "test"])
def test_classes_below_the_top_may_be_called_as_parts_are(root, name, inside):
    put(root / f"train/{inside}{name}/a.png")
    put(root / f"train/{inside}zebra/a.png")
    raw = load(root)
    assert values(raw.train) == [0, 0]
    if not inside:
        np.testing.assert_array_equal(raw.train.labels, [0, 1])
    assert raw.test is raw.valid is None


def test_a_near_miss_is_refused_where_images_lie_deep_in_it_or_behind_a_link(
    root, tmp_path
):
    put(root / "train" / "a.png")
    put(tmp_path / "away" / "deep" / "a.png")
    (root / "Test").symlink_to(tmp_path / "away")
    with pytest.raises(ValueError, match="must be called test, got Test; if"):
        load(root)


def test_a_near_miss_without_images_is_none(root):
    put(root / "a.png", 5)
    (root / "Test").mkdir()
    (root / "val").write_text("a file")
    put(root / "Eval.png", 6)
    assert values(load(root).train) == [6, 5]


def test_parts_are_those_listed_where_the_file_system_ignores_cases(root, monkeypatch):
    isdir = os.path.isdir

    def ignores_case(path):
        there = os.listdir(os.path.dirname(path))
        same = [n for n in there if n.lower() == os.path.basename(path).lower()]
        return bool(same) and isdir(os.path.join(os.path.dirname(path), same[0]))

    monkeypatch.setattr(folder.os.path, "isdir", ignores_case)
    put(root / "a.png", 5)
    (root / "Train").mkdir()
    assert os.path.isdir(root / "train")
    assert values(load(root).train) == [5]
    put(root / "Train" / "a.png")
    with pytest.raises(ValueError, match="must be called train, got Train; if"):
        load(root)


def test_files_left_out_by_their_suffix_are_counted_in_a_line(root, caplog):
    for name in ("train/a.png", "train/b.PNG", "test/a.jpg"):
        put(root / name)
    left = ("train/a.webp", "test/deep/b.WEBP", "c.bmp", "train/d.0001", "LICENSE")
    unsaid = (".a.bmp", ".git/a.bmp", "a.txt", "b.CSV", "c.json", "README.md")
    for name in left + unsaid:
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).touch()
    load(root)
    assert caplog.messages[0] == (
        f"folder: left out of {root} by their suffix: 1 .bmp, 2 .webp, 2 other"
    )


def test_notes_beside_the_images_are_not_worth_a_line(root, caplog):
    put(root / "a.png")
    (root / "labels.csv").touch()
    load(root)
    assert not any("suffix" in message for message in caplog.messages)


def test_suffixes_are_said_before_a_part_without_images_is_refused(root, caplog):
    (root / "a.webp").touch()
    with pytest.raises(ValueError, match="must hold images"):
        load(root)
    assert caplog.messages == [f"folder: left out of {root} by their suffix: 1 .webp"]


def test_class_folders_become_labels_in_the_order_of_their_names(root):
    for name in ("dog/a.png", "cat/deep/b.png", "cat/a.png", "Ant/a.png"):
        put(root / name)
    labels = load(root).train.labels
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, [0, 1, 1, 2])  # Ant, cat, cat, dog


def test_classes_have_the_same_number_in_all_parts(root):
    for name in ("train/b/1.png", "train/d/1.png", "test/a/1.png", "test/d/1.png"):
        put(root / name)
    put(root / "valid" / "c" / "1.png")  # one class is none
    raw = load(root)
    np.testing.assert_array_equal(raw.train.labels, [1, 2])
    np.testing.assert_array_equal(raw.test.labels, [0, 2])
    assert raw.valid.labels is None


@pytest.mark.parametrize(
    "names", [["a/1.png", "a/2.png"], ["a/1.png", "b/1.png", "1.png"]]
)
def test_one_folder_or_images_outside_of_the_folders_make_no_classes(root, names):
    for name in names:
        put(root / name)
    assert load(root).train.labels is None


def test_links_to_folders_are_followed_and_never_in_circles(root, tmp_path):
    put(tmp_path / "elsewhere" / "a.png", 7)
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    assert values(load(root).train) == [7, 7]


def test_size_and_channels_are_those_asked_for(root):
    put(root / "a.png", size=(9, 5))
    put(root / "b.png", size=(5, 8), channels=3)
    for channels in (1, 3):
        raw = load(root, image_size=(6, 4), channels=channels)
        assert raw.train.images.shape == (2, 6, 4, channels)


def test_images_are_what_decoding_makes_of_each(root):
    rng = np.random.default_rng(0)
    for i in range(20):
        pixels = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{i:02d}.png")
    found = load(root, image_size=(4, 4), channels=0).train.images
    each = [decoding.read(path, (4, 4), 0) for path in sorted(root.iterdir())]
    np.testing.assert_array_equal(found, each)


def test_the_second_load_reads_the_cache_and_gives_the_same(root, monkeypatch):
    for part in ("train/a", "train/b", "test/a", "test/b"):
        put(root / part / "1.png", len(part))
    first = load(root)
    monkeypatch.setattr(decoding, "read", None)  # would fail
    second = load(root)
    np.testing.assert_equal(second._asdict(), first._asdict())
    assert len(list(cache.path("folder").iterdir())) == 1


def test_a_changed_image_or_another_option_is_decoded_again(root):
    put(root / "a.png", 1)
    put(root / "b.png", 2)
    load(root)
    put(root / "a.png", 200, size=(4, 3))
    assert values(load(root).train) == [200, 2]
    assert load(root, channels=3).train.images.shape == (2, 4, 3, 3)
    assert load(root, image_size=(2, 2)).train.images.shape == (2, 2, 2, 1)


def test_the_folder_is_left_alone(root):
    put(root / "a.png")
    before = {p: p.stat().st_mtime_ns for p in [root, *root.rglob("*")]}
    load(root)
    assert {p: p.stat().st_mtime_ns for p in [root, *root.rglob("*")]} == before


def test_images_are_held_once_while_they_are_decoded_and_cached(root, monkeypatch):
    alone = functools.partial(folder.ThreadPoolExecutor, max_workers=1)
    monkeypatch.setattr(folder, "ThreadPoolExecutor", alone)
    put(root / "0.png", size=(1000, 1000))
    for i in range(1, 40):
        (root / f"{i}.png").hardlink_to(root / "0.png")
    tracemalloc.start()
    load(root)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 40 of a megabyte, a few at work, and numpy writes pieces of 16 MiB.
    assert peak < 65e6


def test_the_door_holds_out_images_for_the_test(root):
    for value in range(10):
        put(root / f"{value}.png", value)
    found = data.load(
        "folder",
        anything(path=str(root)),
        valid_size=2,
        test_size=3,
        binarize="none",
        limit=0,
    )
    parts = found.train, found.valid, found.test
    assert [len(s.images) for s in parts] == [5, 2, 3]
    assert sorted(v for s in parts for v in values(s)) == list(range(10))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (None, ValueError),
        ("/nowhere", FileNotFoundError),
        (__file__, FileNotFoundError),
        ("~no_such_user/images", FileNotFoundError),
    ],
)
def test_what_is_no_folder_is_refused(path, kind):
    with pytest.raises(kind) as caught:
        folder.load(anything(path=path))
    assert str(caught.value) == (
        f"data.path: must name a folder for data.name=folder, got {path or ''!r}"
    )


@pytest.mark.parametrize(
    ("names", "place"),
    [([], ""), (["train/.a.png"], "/train"), (["train/1.png", "test/x.gif"], "/test")],
)
def test_a_part_without_images_is_refused(root, names, place):
    for name in names:
        put(root / name)
    with pytest.raises(ValueError, match="must hold images") as caught:
        load(root)
    assert str(caught.value) == (
        f"{root}{place}: must hold images (.png, .jpg, .jpeg), got none"
    )


def test_a_broken_image_is_named_and_left_in_place(root):
    put(root / "a.png")
    noise = np.random.default_rng(0).integers(0, 256, (4, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "b.png")
    content = (root / "b.png").read_bytes()[:50]
    (root / "b.png").write_bytes(content)
    with pytest.raises(ValueError, match="must be a whole PNG or JPEG") as caught:
        load(root)
    assert str(caught.value).startswith(f"{root / 'b.png'}: must be a whole ")
    assert (root / "b.png").read_bytes() == content
    assert not cache.path("folder").exists()


def test_sixteen_bits_are_refused_with_the_name_and_a_way_out(root):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(root / "a.png")
    with pytest.raises(ValueError, match="npz file") as caught:
        load(root)
    start = f"{root / 'a.png'}: must have at most 8 bits a channel, got I;16"
    assert str(caught.value).startswith(start)


def test_mixed_sizes_are_refused_with_a_way_out(root):
    put(root / "a.png", size=(4, 3))
    put(root / "b.png", size=(4, 3))
    put(root / "c.png", size=(5, 6))
    with pytest.raises(ValueError, match="must have one size") as caught:
        load(root)
    assert str(caught.value) == (
        f"{root}: images must have one size, got 4x3 (height x width) in a.png and 5x6 "
        "in c.png; --config.data.image_size=H,W scales and crops them"
    )


@pytest.mark.parametrize("channels", [(1, 3), (3, 1)])
def test_mixed_grey_and_colour_are_refused_with_a_way_out(root, channels):
    put(root / "a.png", channels=channels[0])
    put(root / "more" / "b.png", channels=channels[1])
    with pytest.raises(ValueError, match="must be all grey") as caught:
        load(root)
    grey, colour = ("a.png", "more/b.png")[:: 1 if channels[0] == 1 else -1]
    assert str(caught.value) == (
        f"{root}: images must be all grey or all in colour, got grey {grey} and colour "
        f"{colour}; --config.data.channels=1 or 3 makes them alike"
    )


def test_images_of_other_sizes_are_neither_kept_nor_waited_for(root, monkeypatch):
    asked, kept, ended = [], set(), threading.Event()

    def read(path, image_size, channels):
        asked.append(path.name)
        image = np.zeros((2, 2, 1) if len(asked) == 1 else (3, 3, 1), np.uint8)
        kept.add(path.name)
        weakref.finalize(image, kept.remove, path.name)
        if path.name > "0001.png":
            ended.wait(timeout=60)
        return image

    class TwoThreads(futures.ThreadPoolExecutor):
        def __init__(self):
            super().__init__(max_workers=2)

        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            ended.set()
            super().shutdown(wait=wait)

    names = [f"{number:04}.png" for number in range(500)]
    monkeypatch.setattr(folder.decoding, "read", read)
    monkeypatch.setattr(folder, "ThreadPoolExecutor", TwoThreads)
    monkeypatch.setattr(folder.os.path, "isfile", lambda path: True)
    images = folder._images(root, names, None, 0)
    assert next(images).shape == (2, 2, 1)
    text = r"got 2x2 .* in 0000\.png and 3x3 in 0001\.png"
    with pytest.raises(ValueError, match=text) as caught:
        next(images)
    # The first two, and one more of each thread.
    assert asked[:2] == names[:2]
    assert len(asked) <= 4
    assert kept == {"0000.png"}, caught  # which may hold the others in its traceback


def test_a_link_to_nothing_is_named(root):
    put(root / "a.png")
    (root / "b.png").symlink_to(root / "nothing")
    with pytest.raises(FileNotFoundError, match=r"b\.png"):
        load(root)


def test_the_progress_is_said(root, monkeypatch, caplog):
    put(root / "a.png")
    monkeypatch.setattr(folder.counting, "SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO, "vae_jax"):
        load(root)
    assert "folder: 1 of 1 images" in caplog.messages
