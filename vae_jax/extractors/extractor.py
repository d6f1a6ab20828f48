"""What every extractor of features is."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float64, UInt8
from numpy import ndarray


class Extractor(NamedTuple):
    """A fixed function of single images, and what has to be said with its numbers."""

    name: str
    sha256: str  # of the published file of its weights
    dims: int
    features: Callable[[UInt8[ndarray, "N H W C"]], Float64[ndarray, "N {self.dims}"]]
