"""The records of a prepared set to arrays of images and labels."""

import contextlib
import io
import math
import os
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image

from vae_jax.data import counting, decoding, tfrecord
from vae_jax.data.dataset import TO_FILES, Examples, check_memory

Builder = Any  # a tfds.core.DatasetBuilder
Feature = Any  # a tfds.features.FeatureConnector

PARTS = {"train": "train", "valid": "validation", "test": "test"}
LABEL = "label"
AT_ONCE = 64  # records that are in memory


def split(
    builder: Builder, name: str, image_size: tuple[int, int] | None, channels: int
) -> tuple[UInt8[np.ndarray, "N H W C"], Int32[np.ndarray, " N"] | None]:
    """The images of a split, in the order of its records, and their labels if any.

    Args:
        builder: of a set that is prepared.
        name: of the split.
        image_size: height and width to scale and cut to; None: as they are.
        channels: 1 or 3; 0: as the set says.

    Raises:
        ValueError: if the set is damaged, has no images, has them in several sizes or
            has more of them than fit.
    """
    found = examples(builder, name, image_size, channels)
    images, labels = None, []
    what = f"tfds {builder.info.full_name} {name}"
    for image, label in counting.counted(what, found.each, found.count):
        if images is None:
            _check_memory(builder, image.shape)
            images = np.empty((found.count, *image.shape), np.uint8)
        images[len(labels)] = image
        labels.append(label)
    return images, np.array(labels, np.int32) if found.labelled else None


def examples(
    builder: Builder, name: str, image_size: tuple[int, int] | None, channels: int
) -> Examples:
    """The same, one by one.

    Raises:
        ValueError: likewise, whenever an image is asked for.
    """
    count = builder.info.splits[name].num_examples
    key = _image_key(builder)
    each = _alike(builder, name, _examples(builder, name, key, image_size, channels))
    return Examples(count, _is_labelled(builder), each)


def _alike(builder: Builder, name: str, examples: Iterator) -> Iterator:
    """The examples, if they have one size and are as many as there shall be."""
    count, got, shape = builder.info.splits[name].num_examples, 0, None
    for image, label in examples:
        got, shape = got + 1, shape or image.shape
        if image.shape != shape:
            raise ValueError(_several_sizes(builder, shape, image.shape))
        if got <= count:
            yield image, int(label)
    if got != count:
        raise ValueError(
            f"{builder.data_dir}: {name} must have the {count} records that "
            f"dataset_info.json promises, got {got}"
        )


def _examples(
    builder: Builder,
    name: str,
    key: str,
    image_size: tuple[int, int] | None,
    channels: int,
) -> Iterator[tuple[UInt8[np.ndarray, "H W C"], np.int32]]:
    from google.protobuf.message import DecodeError
    from tensorflow_datasets.proto import tf_example_pb2

    feature = builder.info.features[key]
    labelled = _is_labelled(builder)
    for path, i, record in _records(builder, name):
        try:
            values = tf_example_pb2.Example.FromString(record).features.feature
            image = _image(feature, values[key], image_size, channels)
            label = values[LABEL].int64_list.value[0] if labelled else 0
            yield image, np.int32(label)
        except (
            DecodeError,
            IndexError,
            OverflowError,
            ValueError,
            zlib.error,
        ) as error:
            raise ValueError(
                f"{path}: record {i} must hold {key}{f' and {LABEL}' * labelled} as "
                f"features.json says, got {error}"
            ) from error


def _records(builder: Builder, name: str) -> Iterator[tuple[pathlib.Path, int, bytes]]:
    kind = builder.info.file_format.value
    if kind not in READERS:
        raise ValueError(
            f"{builder.data_dir}: must be in one of the formats {', '.join(READERS)}, "
            f"got {kind}"
        )
    try:
        shards = builder.info.splits[name].filepaths
    except Exception as error:  # of any kind: dataset_info.json has a pattern for them
        raise ValueError(
            f"{builder.data_dir}: dataset_info.json must name the files of {name}: "
            f"{error}"
        ) from error
    for shard in shards:
        path = pathlib.Path(os.fspath(shard))
        for i, record in enumerate(READERS[kind](path)):
            yield path, i, record


def _array_records(path: pathlib.Path) -> Iterator[bytes]:
    from array_record.python import array_record_module

    try:
        reader = array_record_module.ArrayRecordReader(str(path))
        with contextlib.closing(reader):
            count = reader.num_records()
            for start in range(0, count, AT_ONCE):
                yield from reader.read(start, min(start + AT_ONCE, count))
    except RuntimeError as error:  # what its C++ says of anything
        raise ValueError(
            f"{path}: must be a whole array_record file, got {error}"
        ) from error


READERS = {"tfrecord": tfrecord.records, "array_record": _array_records}


def _image(
    feature: Feature, value: Any, image_size: tuple[int, int] | None, channels: int
) -> UInt8[np.ndarray, "H W C"]:
    if not _is_tensor(feature):
        # Some sets of colour images hold a few files that are grey.
        channels = channels or {1: 1, 3: 3}.get(feature.shape[-1], 0)
        file = io.BytesIO(value.bytes_list.value[0])
        return decoding.read(file, image_size, channels)
    stored = value.bytes_list.value or [np.array(value.int64_list.value, np.uint8)]
    pixels = _pixels(feature, stored[0])
    if image_size is None and channels in (0, pixels.shape[-1]):
        return pixels
    squeezed = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    return decoding.fit(Image.fromarray(squeezed), image_size, channels)


def _pixels(feature: Feature, stored: Any) -> UInt8[np.ndarray, "H W C"]:
    if feature.to_json_content().encoding != "zlib":
        return feature.decode_example_np(stored)
    size = math.prod(feature.shape)
    content = zlib.decompressobj().decompress(stored, size + 1)  # TFDS has no limit
    if len(content) != size:
        raise ValueError(f"other than {size} bytes in {len(stored)} compressed ones")
    return np.frombuffer(content, np.uint8).reshape(feature.shape)


def _image_key(builder: Builder) -> str:
    """Which feature is the image: ``image``, else the only one of kind Image."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    kinds = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [
        key
        for key, feature in kinds.items()
        if isinstance(feature, tfds.features.Image) and feature.np_dtype == np.uint8
    ]
    named = kinds.get("image")
    if "image" in images or (named is not None and _is_tensor(named)):
        return "image"
    if len(images) == 1:
        return images[0]
    listed = ", ".join(f"{key}: {type(f).__name__}" for key, f in sorted(kinds.items()))
    raise ValueError(
        f"{builder.data_dir}: must have one feature of kind Image, or one named image, "
        f"of bytes, got {listed or features}"
    )


def _is_tensor(feature: Feature) -> bool:
    """Whether it is pixels themselves, of known shape, and not an image file."""
    import tensorflow_datasets as tfds

    return (
        type(feature) is tfds.features.Tensor
        and feature.np_dtype == np.uint8
        and len(feature.shape) == 3
        and None not in feature.shape[:2]
        and feature.shape[2] in (1, 3)
    )


def _is_labelled(builder: Builder) -> bool:
    features = builder.info.features
    if LABEL not in features:
        return False
    label = features[LABEL]
    return label.shape == () and np.issubdtype(label.np_dtype, np.integer)


def _check_memory(builder: Builder, shape: tuple[int, ...]) -> None:
    splits = builder.info.splits
    total = sum(splits[n].num_examples for n in PARTS.values() if n in splits)
    check_memory(
        f"{builder.data_dir}: {total} of {_size(shape)}",
        total * math.prod(shape),
        f"--config.data.image_size=H,W makes them smaller; {TO_FILES}",
    )


def _several_sizes(
    builder: Builder, one: tuple[int, ...], other: tuple[int, ...]
) -> str:
    ways = ["image_size=H,W"] if one[:2] != other[:2] else []
    ways += ["channels=1 or 3"] if one[2] != other[2] else []
    return (
        f"{builder.data_dir}: images must be of one size, got {_size(one)} and "
        f"{_size(other)}; {' and '.join(f'--config.data.{w}' for w in ways)} makes "
        "them so"
    )


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
