"""Values of every image of a set, found batch by batch, and their means."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from vae_jax import mesh, pixels
from vae_jax.data import Images

# Evaluation draws its own latents, the same for every epoch, run and seed.
SEED = 2_860_486_313  # not a seed that a user is likely to choose


# Accelerators would otherwise round the factors of products to 10 or 8 bits.
float32_products = functools.partial(jax.default_matmul_precision, "float32")


class Estimate(NamedTuple):
    """A mean over images and how far it may be off by the choice of images."""

    value: float
    standard_error: float  # NaN for a single image
    n: int


def each_batch(
    function: Callable, images: Images, batch_size: int, over: Mesh | None = None
) -> Iterator[PyTree]:
    """``function(batch, rows)`` of one batch after the other, on the host.

    All batches have one size: the last is filled up with its last image, whose results
    are cut off again, so any number of images takes one compilation. The devices of
    ``over`` share every batch, which is made large enough for that. Products of
    matrices are those of float32 on all of them.
    """
    if over:
        batch_size = -(-batch_size // over.size) * over.size
    for start in range(0, len(images), batch_size):
        rows = np.arange(start, start + batch_size)
        batch = images[np.minimum(rows, len(images) - 1)]
        if over:
            batch, rows = mesh.shared((batch, rows), over, axis=0)
        with float32_products():
            found = jax.device_get(function(batch, rows))
        left = len(images) - start
        yield jax.tree.map(lambda values, left=left: values[:left], found)


def in_batches(
    function: Callable,
    images: Images,
    batch_size: int,
    tell: Callable[[int], None] = lambda done: None,
    over: Mesh | None = None,
) -> PyTree:
    """``function(batch, rows)`` of all images; see ``each_batch``.

    ``tell`` hears how many are done.
    """
    pieces, done = [], 0
    for piece in each_batch(function, images, batch_size, over):
        pieces.append(piece)
        done += len(jax.tree.leaves(piece)[0])
        tell(done)
    return jax.tree.map(lambda *parts: np.concatenate(parts), *pieces)


def of_each(
    function: Callable[[Float[Array, "1 H W C"], PRNGKeyArray], PyTree],
    images: Array,
    rows: Int[Array, " B"],
    scale: str,
) -> PyTree:
    """``function(x, key)`` of each image alone, with a key that its row decides.

    So its result depends on neither the batch size nor the other images.
    """

    def of_one(x, row):
        return function(x[None], jax.random.fold_in(jax.random.key(SEED), row))

    return jax.vmap(of_one)(pixels.to_float(images, scale), rows)


def estimate(values: Float[np.ndarray, " N"]) -> Estimate:
    """The mean of per-image values with its standard error, summed in float64."""
    values = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):  # of inf, a deviation is NaN
        spread = values.std(ddof=1) if len(values) > 1 else math.nan
        mean = values.mean()
    return Estimate(float(mean), float(spread / len(values) ** 0.5), len(values))
