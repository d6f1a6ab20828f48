"""Images on the grids of a ProVAE, prepared once, as a PyTorch user would."""

import numpy as np
from jaxtyping import Float, UInt8


def level(
    images: UInt8[np.ndarray, "N H W C"], grid: int, final_res: int
) -> tuple[Float[np.ndarray, "N C g g"], Float[np.ndarray, "1 1 g g"]]:
    """Square images on a grid: means over each cell's true pixels, and their share.

    Images lie in the middle of ``final_res`` by ``final_res`` pixels; where a cell has
    no true pixel, its mean is 0.
    """
    before = (final_res - images.shape[1]) // 2
    after = final_res - images.shape[1] - before
    side = final_res // grid
    border = [(0, 0), (before, after), (before, after), (0, 0)]

    def sums(x):
        x = np.pad(x, border)
        x = x.reshape(len(x), grid, side, grid, side, -1).sum((2, 4))
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))

    true = sums(np.ones((1, *images.shape[1:3], 1), np.float32))
    parts = (images[i : i + 1000] for i in range(0, len(images), 1000))
    means = np.concatenate([sums(part / np.float32(255)) for part in parts])
    np.divide(means, true, out=means, where=true > 0)
    return means, true / side**2
