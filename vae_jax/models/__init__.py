"""Networks. The only package that knows Flax; what leaves it is ``contracts.Model``."""

from vae_jax.contracts import Likelihood, Model
from vae_jax.models import cnn, conv_hvae, hvae, mlp, provae, pyramid, resprovae
from vae_jax.models.plain import biased

__all__ = ["BUILDERS", "GROWING", "biased", "build", "num_stages"]

BUILDERS = {
    "mlp": mlp.build,
    "cnn": cnn.build,
    "provae": provae.build,
    "resprovae": resprovae.build,
    "hvae": hvae.build,
    "conv_hvae": conv_hvae.build,
}
GROWING = ("provae", "resprovae")


def build(
    name: str,
    image_shape: tuple[int, int, int],
    likelihood: Likelihood,
    stage: int = 0,
    **sizes,
) -> Model:
    """A model of the given name for images of any size.

    Args:
        name: a key of ``BUILDERS``.
        image_shape: height, width and channels of the data.
        likelihood: what the decoder's output parameterises.
        stage: below ``num_stages``. All stages share one tree of parameters.
        **sizes: the fields of the configs' ``model`` section, ``stage_loss_scale``
            and ``remat``, see ``plain.call``. Each builder takes those that it needs
            and ignores the others.

    Raises:
        ValueError: if there is no such model or stage, or sizes do not fit together.
    """
    stages = num_stages(name, image_shape, **sizes)
    if stage not in range(stages):
        raise ValueError(f"stage: must be from 0 to {stages - 1}, got {stage}")
    if name in GROWING and sizes["prior"] != "standard":
        raise ValueError(
            f"model.prior: must be standard with model.name={name}, got "
            f"{sizes['prior']!r}"
        )
    return BUILDERS[name](image_shape, likelihood, stage=stage, **sizes)


def num_stages(name: str, image_shape: tuple[int, int, int], **sizes) -> int:
    """How many stages a model has; 1 for those that do not grow.

    Takes what ``build`` takes.

    Raises:
        ValueError: if there is no such model, or sizes do not fit together.
    """
    if name not in BUILDERS:
        raise ValueError(f"model: must be one of {', '.join(BUILDERS)}, got {name!r}")
    if name not in GROWING:
        return 1
    grids = pyramid.build(image_shape, sizes["start_res"], sizes["final_res"])
    return grids.num_stages
