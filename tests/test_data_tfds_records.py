"""The records of prepared sets to arrays."""

import json
import re

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tfds_sets import (
    as_array_record,
    as_tfrecord,
    change_info,
    frame,
    image_and_label,
    labelled,
    pixels,
    png,
    prepare,
    stored,
)

from vae_jax.data import tfds_records

Image, Tensor = tfds.features.Image, tfds.features.Tensor
FORMATS = pytest.mark.parametrize("convert", [as_array_record, as_tfrecord])


def read(folder, split="train", image_size=None, channels=0):
    builder = tfds.builder_from_directory(folder)
    return tfds_records.split(builder, split, image_size, channels)


def message(folder, **wanted):
    with pytest.raises(ValueError, match=re.escape(f"{folder}")) as caught:
        read(folder, **wanted)
    return str(caught.value).removeprefix(f"{folder}")


@FORMATS
def test_images_and_labels_are_those_that_tfds_reads_in_its_order(tmp_path, convert):
    folder = prepare(tmp_path, {"train": labelled(20), "test": labelled(3, start=50)})
    expected = {split: stored(folder, split) for split in ("train", "test")}
    convert(folder)
    for split, examples in expected.items():
        images, labels = read(folder, split)
        np.testing.assert_array_equal(images, [e["image"] for e in examples])
        np.testing.assert_array_equal(labels, [e["label"] for e in examples])
        assert (images.dtype, labels.dtype) == (np.uint8, np.int32)


@FORMATS
def test_the_shards_are_read_one_after_the_other(tmp_path, convert):
    folder = prepare(tmp_path, {"train": labelled(4)})
    _, labels = read(folder)
    convert(folder)
    (shard,) = folder.glob("tiny-train*")
    for i in range(2):
        name = shard.name.replace("00000-of-00001", f"0000{i}-of-00002")
        (folder / name).write_bytes(shard.read_bytes())
    change_info(folder, lambda i: i["splits"][0].update(shardLengths=["4", "4"]))
    np.testing.assert_array_equal(read(folder)[1], [*labels, *labels])


@pytest.mark.parametrize("encoding", ["none", "bytes", "zlib"])
@FORMATS
def test_a_tensor_named_image_is_an_image(tmp_path, convert, encoding):
    tensor = Tensor(shape=(6, 5, 3), dtype=np.uint8, encoding=encoding)
    examples = [{"image": pixels(i, (6, 5, 3))} for i in range(4)]
    folder = prepare(tmp_path, {"train": examples}, {"image": tensor})
    expected = [e["image"] for e in stored(folder, "train")]
    convert(folder)
    images, labels = read(folder)
    np.testing.assert_array_equal(images, expected)
    assert labels is None
    assert read(folder, image_size=(4, 4), channels=1)[0].shape == (4, 4, 4, 1)


def test_the_only_image_is_found_under_any_name(tmp_path):
    features = {"photo": Image(shape=(None, None, 1)), "depth": Image(dtype=np.uint16)}
    examples = [{"photo": png(pixels(0)), "depth": png(pixels(1))}]
    folder = prepare(tmp_path, {"train": examples}, features)
    np.testing.assert_array_equal(read(folder)[0], pixels(0)[None])


@pytest.mark.parametrize(
    ("label", "value"),
    [
        (tfds.features.Text(), "one"),
        (Tensor(shape=(2,), dtype=np.int64), np.ones(2, np.int64)),
        (tfds.features.Scalar(np.float32), 0.5),
    ],
    ids=["text", "vector", "float"],
)
def test_a_label_that_is_no_whole_number_is_none(tmp_path, label, value):
    features = {**image_and_label(), "label": label}
    examples = [{"image": png(pixels(0)), "label": value}]
    assert read(prepare(tmp_path, {"train": examples}, features))[1] is None


@pytest.mark.parametrize(
    ("features", "example", "listed"),
    [
        (
            {"left": Image(shape=(6, 5, 1)), "right": Image(shape=(6, 5, 1))},
            {"left": png(pixels(0)), "right": png(pixels(1))},
            "left: Image, right: Image",
        ),
        (
            {"image": Tensor(shape=(6, 5), dtype=np.uint8)},
            {"image": pixels(0)[..., 0]},
            "image: Tensor",
        ),
        (
            {"image": Tensor(shape=(6, 5, 1), dtype=np.float32)},
            {"image": np.zeros((6, 5, 1), np.float32)},
            "image: Tensor",
        ),
        ({"text": tfds.features.Text()}, {"text": "one"}, "text: Text"),
    ],
    ids=["two", "rank 2", "float", "text"],
)
def test_a_set_without_an_image_lists_its_features(tmp_path, features, example, listed):
    folder = prepare(tmp_path, {"train": [example]}, features)
    assert message(folder) == (
        ": must have one feature of kind Image, or one named image, of bytes, "
        f"got {listed}"
    )


def mixed(tmp_path, *shapes, channels=3):
    examples = [
        {"image": png(pixels(i, shape)), "label": 0} for i, shape in enumerate(shapes)
    ]
    return prepare(tmp_path, {"train": examples}, image_and_label(channels))


def test_images_of_several_sizes_are_refused_with_the_way_out(tmp_path):
    folder = mixed(tmp_path, (6, 5, 3), (4, 7, 3))
    one, other = (
        "x".join(map(str, example["image"].shape))
        for example in stored(folder, "train")
    )
    assert message(folder) == (
        f": images must be of one size, got {one} and {other}; "
        "--config.data.image_size=H,W makes them so"
    )
    assert read(folder, image_size=(4, 4))[0].shape == (2, 4, 4, 3)


def test_a_grey_file_in_a_set_of_colour_images_is_in_colour(tmp_path):
    images, _ = read(mixed(tmp_path, (6, 5, 3), (6, 5, 1)))
    assert images.shape == (2, 6, 5, 3)
    assert read(tmp_path / "tiny/1.0.0", channels=1)[0].shape == (2, 6, 5, 1)


def test_without_channels_in_the_set_the_files_must_agree(tmp_path):
    folder = mixed(tmp_path, (6, 5, 3), (6, 5, 1), channels=None)
    said = message(folder)
    assert said.endswith("; --config.data.channels=1 or 3 makes them so")
    assert read(folder, channels=3)[0].shape == (2, 6, 5, 3)


def test_more_than_fits_in_memory_is_refused_before_it_is_taken(tmp_path):
    folder = prepare(tmp_path, {"train": labelled(2), "extra": labelled(1)})
    huge = {"shardLengths": ["1000000000"]}
    change_info(folder, lambda info: [s.update(huge) for s in info["splits"]])
    assert message(folder) == (
        ": 1000000000 of 6x5x1: images must take at most 8 GB of memory, got 30 GB; "
        "--config.data.image_size=H,W makes them smaller; for more, "
        "python -m vae_jax.data.shard writes files for data.name=npy"
    )
    assert "at most 8 GB" not in message(folder, image_size=(1, 1))


@pytest.mark.parametrize("promised", [2, 4])
@FORMATS
def test_another_number_of_records_than_promised_is_refused(
    tmp_path, convert, promised
):
    folder = prepare(tmp_path, {"train": labelled(3)})
    convert(folder)
    wrong = {"shardLengths": [str(promised)]}
    change_info(folder, lambda info: info["splits"][0].update(wrong))
    assert message(folder) == (
        f": train must have the {promised} records that dataset_info.json promises, "
        "got 3"
    )


def test_a_format_that_is_not_read_is_named(tmp_path):
    folder = prepare(tmp_path, {"train": labelled(1)})
    change_info(folder, lambda info: info.update(fileFormat="riegeli"))
    assert message(folder) == (
        ": must be in one of the formats tfrecord, array_record, got riegeli"
    )


@pytest.mark.parametrize("damage", ["cut", "flip", "absent"])
@FORMATS
def test_a_damaged_shard_is_named(tmp_path, convert, damage):
    folder = prepare(tmp_path, {"train": labelled(3)})
    convert(folder)
    (shard,) = folder.glob("tiny-train*")
    content = bytearray(shard.read_bytes())
    shard.unlink()
    if damage == "flip":
        content[content.index(b"PNG") + 40] ^= 1
    if damage != "absent":
        shard.write_bytes(content[:-10] if damage == "cut" else content)
    said = message(folder)
    assert said.startswith(f"/{shard.name}: ")
    assert ": must be a whole " in said or ": record 0 must hold " in said


GOOD = png(pixels(0)).getvalue()


def example(**features):
    from tensorflow_datasets.proto import tf_example_pb2

    record = tf_example_pb2.Example()
    for key, value in features.items():
        kind = "bytes_list" if isinstance(value, bytes) else "int64_list"
        getattr(record.features.feature[key], kind).value.append(value)
    return record.SerializeToString()


@pytest.mark.parametrize(
    "record",
    [
        b"\xff" * 20,
        example(label=1),
        example(image=GOOD),
        example(image=GOOD, label=1 << 40),
        example(image=b"GIF89a", label=1),
        example(image=GOOD[:-30], label=1),
    ],
    ids=["nonsense", "no image", "no label", "label", "no image file", "cut"],
)
def test_a_record_that_holds_something_else_is_named(tmp_path, record):
    folder = prepare(tmp_path, {"train": labelled(2)})
    as_tfrecord(folder)
    path = folder / "tiny-train.tfrecord-00000-of-00001"
    path.write_bytes(frame(example(image=GOOD, label=1)) + frame(record))
    said = message(folder)
    start = f"/{path.name}: record 1 must hold image and label as features.json says, "
    assert said.startswith(f"{start}got ")
    assert "\n" not in said


def test_features_that_have_no_names_are_refused(tmp_path):
    folder = prepare(tmp_path, {"train": labelled(1)})
    path = folder / "features.json"
    only = json.loads(path.read_text())["featuresDict"]["features"]["image"]
    path.write_text(json.dumps(only))
    assert "or one named image, of bytes, got Image(" in message(folder)
