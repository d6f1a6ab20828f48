"""The records that layers hand to each other: data and pure functions, no behaviour.

``Normal``, ``Mixture``, ``Latent``, ``Output`` and ``Hparams`` are data, which pass
through ``jax.jit``. ``Likelihood`` and ``Model`` are functions, which are closed over
or static arguments: whatever else they hold must have a hash.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, UInt8

Params = Any  # {"net": ..., "likelihood": ...}: nested dicts of float32 arrays


class Normal(NamedTuple):
    """Diagonal Gaussians, one per example."""

    mean: Float[Array, "B Z"]
    logvar: Float[Array, "B Z"]


class Mixture(NamedTuple):
    """K diagonal Gaussians, the same mixture for every example."""

    log_weights: Float[Array, " K"]  # of a sum of 1
    mean: Float[Array, "K Z"]
    logvar: Float[Array, "K Z"]


class Latent(NamedTuple):
    """One group of latents: a draw, what it was drawn from, and its prior."""

    z: Float[Array, "B Z"]
    posterior: Normal
    prior: Normal | Mixture
    weight: Float[Array, ""] | float = 1.0  # of its KL in the loss, and there alone


class Output(NamedTuple):
    """What one forward pass of any model returns."""

    pixels: Float[Array, "B H W P"]  # parameters of p(x|z), P per pixel
    latents: tuple[Latent, ...]  # coarsest group first


class Hparams(NamedTuple):
    """Every number that a user sweeps. Traced: changing one compiles nothing."""

    lr: Float[Array, ""]
    beta: Float[Array, ""]  # weight of the KL in the loss
    free_bits: Float[Array, ""]  # nats that each group of latents may use; 0: off
    capacity: Float[Array, ""]  # nats from which the KL shall not depart; 0: off
    tc_weight: Float[Array, ""]  # of the total correlation in the KL
    sigma: Float[Array, ""]  # of a Gaussian likelihood that does not learn it
    sigma_floor: Float[Array, ""]  # of a sigma for each pixel
    alpha: Float[Array, ""]  # share of the newest stage; 1 for models that do not grow
    clip_norm: Float[Array, ""]  # infinity: no clipping
    ema_decay: Float[Array, ""]
    max_bad_steps: Float[Array, ""]  # so many non-finite steps in a row end training


class Likelihood(NamedTuple):
    """p(x|z) given the decoder's output.

    ``params`` is ``params["likelihood"]`` of the whole model: what the likelihood
    learns for itself, such as a global sigma.
    """

    kind: str  # "binary", "mass" (of 8-bit levels) or "density": what ``nll`` is of
    channels_per_pixel: int  # decoder outputs for each colour channel
    init: Callable[[], Params]
    # (params, hparams, pixels, target, weight) -> [B], nats, every constant included
    nll: Callable[..., Float[Array, " B"]]
    # The same, with only the constants that the loss shall contain
    loss: Callable[..., Float[Array, " B"]]
    # (pixels) -> E[x|z], [B, H, W, C]
    mean: Callable[[Float[Array, "B H W P"]], Float[Array, "B H W C"]]
    # (key, params, hparams, pixels) -> a draw of x
    sample: Callable[..., Float[Array, "B H W C"]]
    scale_name: str = ""  # of the one scale of all pixels in tables, if there is one


class Model(NamedTuple):
    """A VAE as pure functions over one parameter tree.

    A key in ``apply`` and ``encode`` is one, or one for each example: see ``sampling``.
    ``None`` makes every z its posterior's mean.
    ``alpha`` is ``Hparams.alpha``.

    A model that grows is one record for each stage, all over the same tree. There,
    ``params["net"]`` and ``params["likelihood"]`` are dicts of ``stage_0``, ``stage_1``
    and so on, and what belongs to one stage is one group of the optimiser.
    """

    image_shape: tuple[int, int, int]  # of the full image: height, width, channels
    z_dims: tuple[int, ...]  # latents of each group, coarsest first
    likelihood: Likelihood
    init: Callable[..., Params]  # (key)
    apply: Callable[..., Output]  # (params, x, key, alpha)
    encode: Callable[..., tuple[Latent, ...]]  # (params, x, key, alpha)
    decode: Callable[..., Float[Array, "B H W P"]]  # (params, zs, alpha)
    sample_prior: Callable[..., tuple[Float[Array, "B Z"], ...]]  # (params, key, num)
    # (x) -> what the likelihood is taken of, and the weight of each of its values
    observe: Callable[[Float[Array, "B H W C"]], tuple[Float[Array, "B H W C"], Any]]
    stage: int = 0
    num_stages: int = 1
    # (params) -> those that ``likelihood`` takes
    likelihood_params: Callable[[Params], Params] = operator.itemgetter("likelihood")
    resolution: tuple[int, int] = (0, 0)  # height and width of this stage's grid
    # (pixels, or an image made of them) -> the same in the full image's size
    enlarge: Callable[[Array], Array] = lambda pixels: pixels
    loss_scale: float = 1.0  # of the reconstruction in the loss, and there alone
    floats_per_pixel: int = 1  # what decoding takes; 1 for layers that are narrow
    # (params, zs, alpha) -> what each group adds to ``decode``, and the sum so far
    residuals: Callable[..., tuple[tuple[Array, ...], tuple[Array, ...]]] | None = None
    # (params, key, z) -> all groups: the first is z, the others are drawn from their
    # priors given it. None where the priors of groups do not depend on each other
    complete: Callable[..., tuple[Float[Array, "B Z"], ...]] | None = None


# (model, params, x, key, hparams) -> (loss [B], {"recon": [B], "kl": [B], "elbo": [B]})
# A key is one for all examples or one for each: see ``sampling``. What an example's
# terms are depends on it alone; its loss may depend on the batch.
Objective = Callable[..., tuple[Float[Array, " B"], dict[str, Float[Array, " B"]]]]

# (hparams of the run, step) -> hparams of that step
Schedule = Callable[..., Hparams]


class Trained(NamedTuple):
    """A model with the parameters and numbers at which it is evaluated."""

    model: Model
    params: Params
    hparams: Hparams


class Extractor(NamedTuple):
    """A fixed function from images to vectors, and which one it is."""

    name: str
    sha256: str  # of the weights; "" where there are none
    dims: int
    # uint8 [N, H, W, C] -> float64 [N, D], on the host
    features: Callable[[UInt8[np.ndarray, "N H W C"]], Float[np.ndarray, "N D"]]
