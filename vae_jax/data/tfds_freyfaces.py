"""FreyFaces as a TFDS builder: ``import`` registers it, TensorFlow is not needed."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vae_jax.data import freyfaces


class FreyFaces(tfds.core.GeneratorBasedBuilder):
    """The 1965 frames in their order in time, in one split, ``train``."""

    name = "freyfaces"
    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = None  # not in a folder of the layout that TFDS expects

    def __init__(self, *, directory: str | None = None, **options: Any):
        """Takes the images from where ``freyfaces.load(directory)`` finds them."""
        self._directory = directory
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        image = tfds.features.Tensor(
            shape=(*freyfaces.SHAPE[1:], 1), dtype=np.uint8, encoding="bytes"
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description="Frames of one face, 28 x 20, grey (Roweis et al. 2002).",
            features=tfds.features.FeaturesDict({"image": image}),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        images = freyfaces.load(self._directory).train.images
        for i, image in enumerate(images):
            yield i, {"image": image}
