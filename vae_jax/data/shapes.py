"""Shapes drawn from known factors, to learn in colour and to measure disentanglement.

After dSprites (https://github.com/google-deepmind/dsprites-dataset). Each factor is a
level, drawn uniformly and independently of the others, and a column of the labels:

    shape      3   square, ellipse, heart
    scale      6   equal steps from half of the largest size to all of it
    rotation  40   counterclockwise, a 40th of the full turn each
    x         32   from left to right, over the same range at every scale
    y         32   downwards, likewise
    hue        8   around the circle of colours from red; colour images only

A square looks the same after 10 levels of rotation, an ellipse after 20.
"""

import colorsys
import math

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from vae_jax.data.dataset import Raw, Split, Wanted, check_memory

LEVELS = {"shape": 3, "scale": 6, "rotation": 40, "x": 32, "y": 32, "hue": 8}
SIZE = (32, 32)
SMALLEST = 8
REACH = 0.25  # radius around the largest shape, of the image's shorter side
CHUNK = 1 << 20  # pixels that are drawn at once
STREAM = 20170602  # of the factors: the seed alone decides what is held out

# Of the distances below: the shape reaches as far as 1 from its centre of mass.
TINY = 1e-6
HALF_SIDE = math.sqrt(0.5)  # of the square
MINOR = 0.5  # half axis of the ellipse
# A heart is a square on its corner with half a disc on either of its upper sides. In
# units of its side, the centre of mass is RISE above the square's, the tip farthest.
RISE = HALF_SIDE * (math.pi / 8 + 1 / 6) / (1 + math.pi / 4)
SIDE = 1 / (HALF_SIDE + RISE)

# By Python's own functions and rounded: numpy's differ in bits from one CPU to another.
ANGLES = [2 * math.pi * k / LEVELS["rotation"] for k in range(LEVELS["rotation"])]
COS = np.array([math.cos(angle) for angle in ANGLES], np.float32)
SIN = np.array([math.sin(angle) for angle in ANGLES], np.float32)
CIRCLE = [k / LEVELS["hue"] for k in range(LEVELS["hue"])]
HUES = np.array([colorsys.hsv_to_rgb(h, 0.8, 1) for h in CIRCLE], np.float32)

Grid = Float32[np.ndarray, "N H W"]


def load(wanted: Wanted) -> Raw:
    """``wanted.num_images`` shapes on black, white or in colour.

    One seed gives the same scenes at every size, in grey and in colour, and more of
    them begin with the fewer.

    Raises:
        ValueError: if the images would be too small to tell the shapes apart, or too
            many or too large for the memory.
    """
    size, channels = wanted.image_size or SIZE, wanted.channels or 1
    if min(size) < SMALLEST:
        raise ValueError(
            f"data.image_size: must be at least {SMALLEST},{SMALLEST} for "
            f"data.name=shapes, got {','.join(map(str, size))}"
        )
    check_memory(
        "shapes",
        wanted.num_images * size[0] * size[1] * channels,
        "--config.data.num_images or --config.data.image_size makes them smaller",
    )
    names = tuple(LEVELS)[: 6 if channels == 3 else 5]
    rng = np.random.default_rng([STREAM, wanted.seed])
    # All six, for grey too: or its shapes would be others than those in colour.
    every = rng.integers(0, [*LEVELS.values()], (wanted.num_images, 6), np.int32)
    factors = every[:, : len(names)].copy()
    return Raw("drawn", Split(draw(factors, size), factors), factors=names)


def draw(
    factors: Int32[np.ndarray, "N F"], size: tuple[int, int]
) -> UInt8[np.ndarray, "N H W C"]:
    """The images of ``factors``: levels in the order of ``LEVELS``.

    Args:
        factors: with five columns for grey images, with the hue for colour.
        size: height and width.
    """
    channels = 3 if factors.shape[1] == len(LEVELS) else 1
    images = np.empty((len(factors), *size, channels), np.uint8)
    step = max(1, CHUNK // (size[0] * size[1]))
    for start in range(0, len(factors), step):
        some = factors[start : start + step]
        light = 255 * _coverage(some, size)[..., None]
        if channels == 3:
            light = light * HUES[some[:, 5], None, None]
        images[start : start + step] = np.rint(light)
    return images


def _coverage(factors: Int32[np.ndarray, "N F"], size: tuple[int, int]) -> Grid:
    """Which share of each pixel the shape covers: a ramp of one pixel at its edge."""
    shape, scale, rotation, x, y = factors.T[:5, :, None, None]
    height, width = size
    largest = REACH * min(size)
    radius = _steps("scale", largest / 2, largest)[scale]
    # The largest touches the border in its outermost places; pixels beyond have none.
    right = _centres(width) - _steps("x", largest, width - largest)[x]
    up = _steps("y", largest, height - largest)[y] - _centres(height)[:, None]
    cos, sin = COS[rotation], SIN[rotation]
    u = (cos * right + sin * up) / radius
    v = (cos * up - sin * right) / radius
    edge = np.empty_like(u)
    for level, distance in enumerate((_square, _ellipse, _heart)):
        chosen = shape.ravel() == level
        edge[chosen] = distance(u[chosen], v[chosen])
    return np.clip(0.5 - edge * radius, 0, 1)


def _square(u: Grid, v: Grid, half: float = HALF_SIDE) -> Grid:
    du, dv = np.abs(u) - half, np.abs(v) - half
    outside = np.sqrt(np.maximum(du, 0) ** 2 + np.maximum(dv, 0) ** 2)
    return outside + np.minimum(np.maximum(du, dv), 0)


def _ellipse(u: Grid, v: Grid) -> Grid:
    """To first order: f / |grad f|, exact at the edge, which is all that is seen."""
    f = np.sqrt(u**2 + (v / MINOR) ** 2)
    slope = np.sqrt(u**2 + (v / MINOR**2) ** 2)
    return (f - 1) * np.maximum(f, TINY) / np.maximum(slope, TINY)


def _heart(u: Grid, v: Grid) -> Grid:
    half = SIDE / 2
    v = v + RISE * SIDE
    p, q = (v + u) * HALF_SIDE, (v - u) * HALF_SIDE
    discs = [np.sqrt((p - half) ** 2 + q**2), np.sqrt(p**2 + (q - half) ** 2)]
    return np.minimum(_square(p, q, half), np.minimum(*discs) - half)


def _steps(factor: str, first: float, last: float) -> Float32[np.ndarray, " L"]:
    return np.linspace(first, last, LEVELS[factor], dtype=np.float32)


def _centres(pixels: int) -> Float32[np.ndarray, " P"]:
    return np.arange(pixels, dtype=np.float32) + 0.5
