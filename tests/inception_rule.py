"""InceptionV3's weights and some images by one rule, in numpy, and their features.

``python tests/inception_rule.py`` prints what ``test_inception.py`` expects of them. It
needs torch, torchvision and torch-fidelity, which the tests do not.
"""

import hashlib
import math
import tempfile
import zlib

import numpy as np

# Grey and small; RGB; larger than the network's 299 and not square; wide.
IMAGES = {
    "grey": (2, 28, 28, 1),
    "rgb": (1, 32, 32, 3),
    "large": (1, 340, 301, 3),
    "wide": (1, 20, 28, 1),
}
# Two or more of each of the last block's six branches.
PLACES = (5, 232, 400, 690, 720, 1000, 1100, 1400, 1480, 1700, 1900, 2047)


def uniform(name, shape):
    """Numbers in [0, 1) that depend on the name and their place: a hash of both.

    Exact integer arithmetic, so that no version of numpy changes a bit.
    """
    start = np.uint32(zlib.crc32(name.encode()))
    x = np.arange(math.prod(shape), dtype=np.uint32) + start
    for shift, factor in (16, 0x7FEB352D), (15, 0x846CA68B):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    x ^= x >> np.uint32(16)
    return ((x >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)).reshape(shape)


def tensor(name, shape):
    """The tensor of the checkpoint that has this name."""
    u = uniform(name, shape)
    if name.endswith("conv.weight"):
        # Uniform with variance 2 / fan_in, which a unit with a ReLU hands on.
        return (u - np.float32(0.5)) * np.float32((24 / math.prod(shape[1:])) ** 0.5)
    if name.endswith(("bn.weight", "bn.running_var")):
        return np.float32(0.5) + u
    return np.float32(0.2) * (u - np.float32(0.5))


def images(name):
    """A blob over noise, uint8."""
    n, height, width, channels = IMAGES[name]
    y = np.arange(height).reshape(1, -1, 1, 1) / height
    x = np.arange(width).reshape(1, 1, -1, 1) / width
    middle = uniform(f"{name} middle", (2, n, 1, 1, channels))
    blob = np.maximum(0, 1 - 9 * ((y - middle[0]) ** 2 + (x - middle[1]) ** 2))
    return np.uint8(200 * blob + 55 * uniform(name, IMAGES[name]))


def summary(features):
    """What the expected values are: norm, a projection, and some of the features."""
    direction = uniform("projection", (2048,)).astype(np.float64) - 0.5
    features = np.asarray(features, np.float64)
    norms = np.sqrt((features**2).sum(axis=1))
    columns = norms, features @ direction, *(features[:, i] for i in PLACES)
    return np.stack(columns, axis=1)


def names_digest(shapes):
    """A sum of names and shapes, whatever their order."""
    lines = sorted(f"{name} {tuple(shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def main():
    """The features by torch-fidelity's extractor, from a checkpoint by the rule."""
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import (
        FeatureExtractorInceptionV3,
    )

    class Bare(FeatureExtractorInceptionV3):
        def load_state_dict(self, state):
            """Nothing: the file is empty, which spares a download."""

    with tempfile.NamedTemporaryFile() as file:
        torch.save({}, file.name)
        network = Bare("rule", ["2048"], feature_extractor_weights_path=file.name)
    state = network.state_dict()
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(tensor(name, tuple(value.shape))))
    print(names_digest({n: v.shape for n, v in state.items()}), len(state))
    for name in IMAGES:
        batch = images(name).transpose(0, 3, 1, 2)
        batch = np.repeat(batch, 3 // batch.shape[1], axis=1)
        (features,) = network(torch.from_numpy(batch))
        for row in summary(features.numpy()):
            print(f'"{name}": {[round(float(v), 5) for v in row]},')


if __name__ == "__main__":
    main()
