"""Grids of a model that grows, and what an image is on each of them.

An image lies in the middle of a grid that halves to the base without a remainder. One
level down is the mean over the *true* pixels of two by two cells, one level up is
repetition. A cell's weight is its share of true pixels.

Layout is NHWC, and stage ``s`` has ``2**s`` times the sides of the base.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def up(x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Every cell repeated to two by two."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def halve(x: Float[Array, "B H W C"]) -> Float[Array, "B H//2 W//2 C"]:
    """The mean of every two by two cells. Both sides must be even."""
    b, height, width, c = x.shape
    return x.reshape(b, height // 2, 2, width // 2, 2, c).mean((2, 4))


class Pyramid(NamedTuple):
    """Images of one size on the grids of all stages. See ``build``."""

    size: tuple[int, int]  # height and width of the images
    base: tuple[int, int]  # of the grid of stage 0
    num_stages: int

    def grid(self, stage: int) -> tuple[int, int]:
        """Height and width of the stage's grid."""
        height, width = self.base
        return height * 2**stage, width * 2**stage

    def weight(self, stage: int) -> Float[np.ndarray, "1 h w 1"]:
        """The share of true pixels in each cell."""
        rows, columns = self._shares(stage)
        return (rows[:, None] * columns[None, :])[None, :, :, None]

    def levels(self, x: Float[Array, "B H W C"]) -> tuple[Float[Array, "B h w C"], ...]:
        """Images on the grids of all stages, coarsest first; 0 where nothing is true.

        The last level is the image itself, padded.
        """
        borders = [
            _border(*sides)
            for sides in zip(self.size, self.grid(self.num_stages - 1), strict=True)
        ]
        found = [jnp.pad(x, [(0, 0), *borders, (0, 0)])]
        for stage in reversed(range(1, self.num_stages)):
            found.append(self.down(found[-1], stage))
        return tuple(reversed(found))

    def down(
        self, level: Float[Array, "B h w C"], stage: int
    ) -> Float[Array, "B h//2 w//2 C"]:
        """The level below that of ``stage``."""
        true = self.weight(stage - 1)
        per_true = np.divide(1.0, true, out=np.zeros_like(true), where=true > 0)
        return halve(level * self.weight(stage)) * per_true

    def crop(
        self, level: Float[Array, "#B h w P"], stage: int
    ) -> Float[Array, "#B i j P"]:
        """The cells of a level that have true pixels: of the last, the image."""
        rows, columns = (np.flatnonzero(shares) for shares in self._shares(stage))
        return level[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

    def enlarge(
        self, cropped: Float[Array, "B i j P"], stage: int
    ) -> Float[Array, "B H W P"]:
        """What ``crop`` gave, on the pixels of the image."""
        factor = 2 ** (self.num_stages - 1 - stage)
        whole = jnp.repeat(jnp.repeat(cropped, factor, axis=1), factor, axis=2)
        sides = zip(
            self.size, self.grid(self.num_stages - 1), self._shares(stage), strict=True
        )
        top, left = (
            _border(size, side)[0] - int(np.flatnonzero(shares)[0]) * factor
            for size, side, shares in sides
        )
        height, width = self.size
        return whole[:, top : top + height, left : left + width]

    def _shares(self, stage: int) -> list[Float[np.ndarray, " h"]]:
        """Of each row and of each column; a cell's share is their product."""
        shares = []
        for size, side, cells in zip(
            self.size, self.grid(self.num_stages - 1), self.grid(stage), strict=True
        ):
            true = np.pad(np.ones(size, np.float32), _border(size, side))
            shares.append(true.reshape(cells, -1).mean(axis=1))
        return shares


def build(image_shape: tuple[int, int, int], start_res: int, final_res: int) -> Pyramid:
    """The grids for images of any size.

    Args:
        image_shape: height, width and channels.
        start_res: cells of the first grid along the images' longer side.
        final_res: the same of the last grid. Along the shorter side it has a cell for
            every pixel, and as many more as it takes to halve down to the base.

    Raises:
        ValueError: if one does not double into the other, or images do not fit in.
    """
    doublings = max(final_res // start_res, 1).bit_length() - 1
    if final_res != start_res * 2**doublings:
        raise ValueError(
            f"model.final_res: must be model.start_res, {start_res}, times a power of "
            f"two, got {final_res}"
        )
    size = image_shape[:2]
    if final_res < max(size):
        raise ValueError(
            f"model.final_res: must be at least {max(size)}, the longer side of the "
            f"images, got {final_res}"
        )
    height, width = (
        start_res if side == max(size) else -(-side // 2**doublings) for side in size
    )
    return Pyramid(size, (height, width), doublings + 1)


def _border(size: int, side: int) -> tuple[int, int]:
    """Padding to ``side`` cells; an odd one has its extra cell at the end."""
    before = (side - size) // 2
    return before, side - size - before
