"""Floating point operations of a training step, counted by hand from the layers.

Only products of matrices count, two operations for each multiply-add; activations, the
loss and Adam are left out. The gradient of a layer's weights takes as many products as
its value, and so does that of its input, which the layers on the images do not need. So
a step is three times the forward pass, less that of the input's gradients.

A convolution counts every tap of every position, those in the padding too. Repetition
and a 3x3 convolution after it count as the four 2x2 ones that they are equal to: 2.25
times fewer products than as written, so that no form can beat the count.
"""

import itertools
import math
from typing import NamedTuple

from ml_collections import ConfigDict


class Layer(NamedTuple):
    """A layer's multiply-adds in the forward pass of one image."""

    name: str
    products: int
    on_images: bool = False  # then nothing needs the gradient of its input


def step(layers: list[Layer], batch_size: int) -> int:
    """Operations of one training step."""
    return batch_size * sum(
        2 * layer.products * (2 if layer.on_images else 3) for layer in layers
    )


def forward(layers: list[Layer]) -> int:
    """Operations of the forward pass of one image."""
    return sum(2 * layer.products for layer in layers)


def layers(
    config: ConfigDict,
    shape: tuple[int, int, int],
    stage: int = 0,
    fading: bool = False,
) -> list[Layer]:
    """Those of a config's model, the encoder's first.

    Args:
        config: its ``model`` section counts.
        shape: height, width and channels of the images.
        stage: of a model that grows.
        fading: whether the stage below takes part too.
    """
    if config.model.name == "provae":
        return _provae(config.model, shape, stage, fading)
    return {"mlp": _mlp, "cnn": _cnn}[config.model.name](config.model, shape)


def decoder(config: ConfigDict, shape: tuple[int, int, int]) -> list[Layer]:
    """The layers from latents to pixels of a model that does not grow."""
    return [
        layer for layer in layers(config, shape) if layer.name.startswith("decoder")
    ]


def _mlp(model: ConfigDict, shape: tuple[int, int, int]) -> list[Layer]:
    pixels, (z_dim,) = math.prod(shape), model.z_dim
    hidden = [model.hidden_dim] * model.hidden_layers
    return [
        *_dense("encoder", [pixels, *hidden, 2 * z_dim], on_images=True),
        *_dense("decoder", [z_dim, *hidden, pixels]),
    ]


def _cnn(model: ConfigDict, shape: tuple[int, int, int]) -> list[Layer]:
    height, width, colours = shape
    (z_dim,), channels = model.z_dim, [colours, *model.channels]
    down, up = [], []
    for level, (inputs, outputs) in enumerate(itertools.pairwise(channels)):
        height, width = -(-height // 2), -(-width // 2)
        products = 16 * inputs * outputs * height * width  # 4x4, stride 2, both ways
        down.append(Layer(f"encoder conv {level}", products, on_images=level == 0))
        up.append(Layer(f"decoder conv {level}", products))
    flat = height * width * channels[-1]
    hidden = [model.hidden_dim] * model.hidden_layers
    return [
        *down,
        *_dense("encoder", [flat, *hidden, 2 * z_dim]),
        *_dense("decoder", [z_dim, *hidden, flat]),
        *reversed(up),
    ]


def _provae(
    model: ConfigDict, shape: tuple[int, int, int], stage: int, fading: bool
) -> list[Layer]:
    """For square images, whose grids are square."""
    colours, (z_dim,) = shape[2], model.z_dim
    channels = [max(model.base_ch // 2**s, model.min_ch) for s in range(stage + 1)]
    cells = [(model.start_res * 2**s) ** 2 for s in range(stage + 1)]
    flat = cells[0] * channels[0]
    found = [
        Layer("encoder base", 9 * channels[0] ** 2 * cells[0]),
        *_dense("encoder heads", [flat, 2 * z_dim]),
        *_dense("decoder spread", [z_dim, flat]),
    ]
    for s in range(1, stage + 1):
        between = channels[s - 1] * channels[s]
        found.append(Layer(f"encoder shrink {s}", 9 * between * cells[s]))
        found.append(Layer(f"decoder grow {s}", 4 * between * cells[s]))
    for s in (stage - 1, stage) if fading else (stage,):
        products = colours * channels[s] * cells[s]
        found.append(Layer(f"encoder in {s}", products, on_images=True))
        found.append(Layer(f"decoder out {s}", products))
    return found


def _dense(name: str, widths: list[int], on_images: bool = False) -> list[Layer]:
    return [
        Layer(f"{name} dense {i}", a * b, on_images=on_images and i == 0)
        for i, (a, b) in enumerate(itertools.pairwise(widths))
    ]
