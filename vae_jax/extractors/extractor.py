"""What every extractor is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8


class Extractor(NamedTuple):
    """A fixed function from images to vectors, and which one it is."""

    name: str
    sha256: str  # of the weights; "" where there are none
    dims: int
    # float64, on the host
    features: Callable[[UInt8[np.ndarray, "N H W C"]], Float[np.ndarray, "N D"]]
