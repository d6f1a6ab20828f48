"""What a config and its images say of a run, before anything is trained."""

import math
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from vae_jax import assembly, data, pixels, settings, spectrum
from vae_jax.assembly import Phase
from vae_jax.run import subsets

# What a loss may have for spectrum.py's bounds to hold.
OF_THEORY = {
    "loss.recon": ("bce", "gaussian"),
    "loss.free_bits": (0.0,),
    "loss.capacity": (0.0,),
    "loss.tc_weight": (1.0,),
    "model.prior": ("standard",),
    "model.logvar_range": ((),),
}
MOST_IMAGES = 5_000
FEWER_IMAGES = 2_000  # of more values than that, whose spectrum would take long
MOST_NUMBERS = 2**25  # 256 MiB of float64


class Facts(NamedTuple):
    """Of some of the training images, black and white where those for the test are."""

    num: int
    num_values: int  # of each
    low: float  # as the model sees them; so all further ones
    high: float
    mean: float
    deviation: float
    grey: float  # share of stored values that are neither black nor white
    constant_values: int  # the same in all images
    flat_images: int  # of one value


class Stage(NamedTuple):
    """What latents are worth in one stage. All gains are in nats per image."""

    index: int
    resolution: tuple[int, int]
    num_values: float  # true ones, as the likelihood counts them
    num_latents: int
    variances: Float[np.ndarray, " M"]
    sigma: float  # the fixed one; of a learned one, the best; 1/2 for bce
    beta: float  # over the weight of the stage's reconstruction
    used: int  # latents that can pay for their KL; for bce, at least so many
    gains: Float[np.ndarray, " U"]  # of each one used, at that sigma
    gain: float  # of all; for bce, at least; of a learned sigma, with its own fall
    ceiling: float  # of the gain, whatever the decoder
    best: spectrum.Fit | None  # gaussian: with a sigma that is free


def some_images(config: ConfigDict, dataset: data.Dataset) -> np.ndarray:
    """A few thousand of the training images, as the model gets to see them."""
    images = data.binarized_once(dataset.train, config.data.binarize).images
    num_values = math.prod(images.shape[1:])
    most = MOST_IMAGES if num_values <= FEWER_IMAGES else FEWER_IMAGES
    most = max(2, min(most, MOST_NUMBERS // num_values))
    return subsets.some_of(images, most)[:]  # read, if they are in files


def facts(images: np.ndarray, scale: str) -> Facts:
    """What there is to say about images of any type."""
    white = 255 if images.dtype == np.uint8 else 1
    x = pixels.to_float(jax.device_put(images), scale)
    x = np.asarray(x).reshape(len(images), -1)
    grey = (images != 0) & (images != white)
    return Facts(
        num=len(images),
        num_values=x.shape[1],
        low=float(x.min()),
        high=float(x.max()),
        mean=float(x.mean(dtype=np.float64)),
        deviation=float(x.std(dtype=np.float64)),
        grey=float(grey.mean()),
        constant_values=int((x == x[0]).all(axis=0).sum()),
        flat_images=int((x == x[:, :1]).all(axis=1).sum()),
    )


def beyond_theory(config: ConfigDict) -> list[str]:
    """Which of the config's fields have a value that is not ``OF_THEORY``."""
    fields = dict(settings.flatten(config))
    return [
        f"{name}={fields[name]}"
        for name, known in OF_THEORY.items()
        if fields[name] not in known
    ]


def stages(config: ConfigDict, job: assembly.Job, images: np.ndarray) -> list[Stage]:
    """The forecast of every stage that is trained at all; none beyond the theory."""
    if beyond_theory(config):
        return []
    x = pixels.to_float(jax.device_put(images), config.data.scale)
    return [_stage(config, phase, x) for phase in job.phases if phase.stage.epochs]


def _stage(config: ConfigDict, phase: Phase, x: Float[Array, "N H W C"]) -> Stage:
    target, weight = phase.model.observe(x)
    weights = np.broadcast_to(np.asarray(weight, np.float64), (1, *target.shape[1:]))
    values = np.asarray(target, np.float64).reshape(len(target), -1)
    found = spectrum.variances(values, weights.ravel())
    num_values, latents = float(weights.sum()), sum(phase.model.z_dims)
    # The loss is ``scale`` times what it would be with this beta.
    scale = phase.model.loss_scale
    beta, sigma, best = config.loss.beta / scale, config.loss.sigma, None
    if config.loss.recon == "bce":
        sigma = spectrum.BERNOULLI_SIGMA
        ends = spectrum.cross_entropy(values, weights.ravel())
        ceiling = ends.best_constant - ends.floor
    else:
        best = spectrum.fit(found, num_values, latents, beta)
        ceiling = spectrum.ceiling(found, sigma)
    used = min(latents, spectrum.survivors(found, sigma, beta))
    gains = spectrum.gains(found, sigma, beta)[:used]
    gain = float(gains.sum())
    if best and config.loss.sigma_learnable:
        sigma, used, gain, ceiling = *best, math.inf
        gains = spectrum.gains(found, sigma, beta)[:used] if sigma else np.zeros(0)
    return Stage(
        index=phase.model.stage,
        resolution=phase.model.resolution,
        num_values=num_values,
        num_latents=latents,
        variances=found,
        sigma=sigma,
        beta=beta,
        used=used,
        gains=scale * gains,
        gain=scale * gain,
        ceiling=scale * ceiling,
        best=best,
    )


def steps_to_reach(job: assembly.Job, stage: Stage, start: float) -> int:
    """How many steps, at least, a learned sigma takes from ``start`` to the best one.

    Adam moves a parameter by about the learning rate in a step, here log sigma.
    """
    phase = job.phases[stage.index]
    steps = np.arange(phase.stage.first_step, phase.stage.end_step)
    rates = jax.vmap(lambda step: phase.schedule(phase.hparams, step).lr)(steps)
    return math.ceil(abs(math.log(start / stage.sigma)) / float(rates.mean()))
