"""What every extractor of features is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8


class Extractor(NamedTuple):
    """A fixed function of single images, and what has to be said with its numbers."""

    name: str
    sha256: str  # of the published file of its weights
    dims: int
    features: Callable[[UInt8[np.ndarray, "N H W C"]], Float64[np.ndarray, "N D"]]
