"""Networks. The only package that knows Flax; what leaves it is ``contracts.Model``."""

from vae_jax.contracts import Likelihood, Model
from vae_jax.models import cnn, mlp

BUILDERS = {"mlp": mlp.build, "cnn": cnn.build}


def build(
    name: str, image_shape: tuple[int, int, int], likelihood: Likelihood, **sizes
) -> Model:
    """A model of the given name for images of any size.

    Args:
        name: a key of ``BUILDERS``.
        image_shape: height, width and channels of the data.
        likelihood: what the decoder's output parameterises.
        **sizes: the fields of the configs' ``model`` section. Each builder takes those
            that it needs and ignores the others.

    Raises:
        ValueError: if there is no such model.
    """
    if name not in BUILDERS:
        raise ValueError(f"model: must be one of {', '.join(BUILDERS)}, got {name!r}")
    return BUILDERS[name](image_shape, likelihood, **sizes)
