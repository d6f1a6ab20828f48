"""Small sets that TFDS itself prepares, without TensorFlow, and their TFRecord form."""

import io
import json
import pathlib
import struct

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from PIL import Image


def png(pixels):
    """A PNG file: TFDS takes it as it is, but would need TensorFlow to make one."""
    file = io.BytesIO()
    grey = pixels.shape[-1] == 1
    Image.fromarray(pixels[..., 0] if grey else pixels).save(file, "PNG")
    return io.BytesIO(file.getvalue())


def pixels(seed, shape=(6, 5, 1)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labelled(count, start=0, shape=(6, 5, 1)):
    """Examples of an image file and a label each."""
    seeds = range(start, start + count)
    return [{"image": png(pixels(i, shape)), "label": i % 10} for i in seeds]


def image_and_label(channels=1):
    return {
        "image": tfds.features.Image(shape=(None, None, channels)),
        "label": tfds.features.ClassLabel(num_classes=10),
    }


def prepare(root, splits, features=None, name="tiny", config=None):
    """The folder in which TFDS prepared examples by split, as array_record."""
    with tfds.core.registered.skip_registration():

        class Tiny(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")
            BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)] if config else []
            pkg_dir_path = None

            def _info(self):
                wanted = tfds.features.FeaturesDict(features or image_and_label())
                return tfds.core.DatasetInfo(builder=self, features=wanted)

            def _split_generators(self, dl_manager):
                return {k: self._generate_examples(v) for k, v in splits.items()}

            def _generate_examples(self, examples):
                yield from enumerate(examples)

    Tiny.name = name
    builder = Tiny(data_dir=root, file_format="array_record")
    builder.download_and_prepare()
    return pathlib.Path(builder.data_dir)


def change_info(folder, change):
    path = folder / "dataset_info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


def frame(record):
    """A record of a TFRecord file; nobody looks at the checksums."""
    return struct.pack("<Q4x", len(record)) + record + bytes(4)


def as_tfrecord(folder):
    """Turns a set into what TFDS writes by default: the records stay as they are."""
    for path in folder.glob("*.array_record-*"):
        reader = array_record_module.ArrayRecordReader(str(path))
        content = b"".join(map(frame, reader.read_all()))
        reader.close()
        name = path.name.replace("array_record", "tfrecord")
        path.with_name(name).write_bytes(content)
        path.unlink()
    change_info(folder, lambda info: info.update(fileFormat="tfrecord"))


def as_array_record(folder):
    """Leaves it as it was prepared."""


def stored(folder, split):
    """The examples as TFDS reads them, in its order."""
    return list(tfds.builder_from_directory(folder).as_data_source(split))
