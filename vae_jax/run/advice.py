"""What stands out in a forecast, and which field to change. Advice, not errors."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ml_collections import ConfigDict

from vae_jax import assembly
from vae_jax.progress import duration
from vae_jax.run import forecast
from vae_jax.run.costs import Cost
from vae_jax.run.forecast import Facts, Stage

# What counts as much or little. None of these is a law; each is far from what is usual.
FAR_OFF = 3.0  # a sigma, from that of a linear model, which a network undercuts
NARROW = 0.25  # share of the range from black to white that the images use
MOSTLY = 0.5  # of the values
BLACK_AND_WHITE = 0.01  # share of grey values, at most
MUCH_LEFT_OUT = 0.1  # of an epoch
FEW_STEPS = 300  # of a run: Adam's own averages reach over a thousand
NOTHING = 1.0  # nats to gain in a stage, before any KL is paid
MOST_MEMORY = 0.8  # of what the device has

BAD, COSTLY, NOTED = range(3)


class Finding(NamedTuple):
    """One thing that stands out."""

    rank: int  # BAD, COSTLY or NOTED
    text: str


def findings(
    config: ConfigDict,
    job: assembly.Job,
    facts: Facts,
    stages: Sequence[Stage],
    costs: Sequence[Cost],
    memory_limit: int | None,
) -> list[Finding]:
    """Everything that stands out, worst first."""
    found = [
        *of_images(config, job, facts),
        *of_latents(config, job, stages),
        *of_steps(config, job),
        *of_costs(config, costs, memory_limit),
    ]
    return sorted(found, key=lambda finding: finding.rank)


def of_images(config: ConfigDict, job: assembly.Job, facts: Facts) -> Iterator[Finding]:
    """What is wrong with them, or with the likelihood for them."""
    source = f"data.name={config.data.name}"
    kind = job.phases[-1].model.likelihood.kind
    if facts.high - facts.low < NARROW:
        yield Finding(
            BAD,
            f"{source}: images use only {facts.low:.3g} to {facts.high:.3g} of 0 to 1 "
            "(bytes that are 0 and 1, say, or floats divided by 255 twice); store "
            "them as bytes of 0 to 255 or floats of 0 to 1",
        )
    elif config.loss.recon == "bce" and facts.grey > MOSTLY:
        yield Finding(
            NOTED,
            f"loss.recon=bce: {facts.grey:.0%} of the values are grey, for which it is "
            "a cross-entropy and no likelihood: no bits/dim; "
            "try --config.loss.recon=gaussian --config.loss.sigma_learnable=True",
        )
    elif kind == "density" and facts.grey <= BLACK_AND_WHITE:
        yield Finding(
            COSTLY,
            f"loss.recon={config.loss.recon}: {1 - facts.grey:.1%} of the values are "
            "black or white, on which a density has no bound; "
            "try --config.loss.recon=bce",
        )
    if facts.flat_images:
        yield Finding(
            NOTED,
            f"{source}: {facts.flat_images} of {facts.num} images are of one value "
            "throughout; are they meant to be there?",
        )


def of_latents(
    config: ConfigDict, job: assembly.Job, stages: Sequence[Stage]
) -> Iterator[Finding]:
    """Whether they are worth their KL, and the sigma that decides it."""
    if not stages:  # beyond the theory
        return
    last = stages[-1]
    for stage in stages[:-1]:
        if stage.ceiling < NOTHING:
            epochs = job.phases[stage.index].stage.epochs
            yield Finding(
                COSTLY,
                f"train.epochs_per_stage={config.train.epochs_per_stage}: in stage "
                f"{stage.index}, {shape(stage)}, latents can gain at most "
                f"{stage.ceiling:.2g} nats, so its {epochs} epochs teach them next to "
                "nothing; give it few",
            )
    if not last.variances.any():
        yield Finding(BAD, f"data.name={config.data.name}: all images are the same")
    elif config.loss.recon == "bce":
        if last.used < last.num_latents:
            yield from _beta_of_bce(config, last)
    elif config.loss.sigma_learnable:
        yield from _learned_sigma(config, job, stages)
    else:
        yield from _fixed_sigma(config, last)


def _beta_of_bce(config: ConfigDict, last: Stage) -> Iterator[Finding]:
    if last.ceiling < NOTHING:
        yield Finding(
            BAD,
            f"data.name={config.data.name}: latents can gain at most "
            f"{last.ceiling:.2g} nats; the images hardly differ",
        )
    elif not last.used:
        beta = last.variances[0] / last.sigma**2
        yield Finding(
            COSTLY,
            f"loss.beta={config.loss.beta:g}: no latent is sure to pay for its KL; "
            f"--config.loss.beta={rounded(beta / 2)} makes sure of one",
        )


def _fixed_sigma(config: ConfigDict, last: Stage) -> Iterator[Finding]:
    sigma, beta, best = config.loss.sigma, config.loss.beta, last.best
    possible = min(last.num_latents, int((last.variances > 0).sum()))
    can = f"{last.used} of {last.num_latents} latents"
    rank = COSTLY if last.used else BAD
    if last.used < possible and sigma > FAR_OFF * best.sigma:
        # As many latents as directions leave no error, and so no likeliest sigma.
        lower = best.sigma or math.sqrt(last.variances[possible - 1] / beta) / 2
        yield Finding(
            rank,
            f"loss.sigma={sigma:g}: so large that only {can} can pay for their KL; try "
            f"--config.loss.sigma={rounded(lower)} or "
            "--config.loss.sigma_learnable=True",
        )
    elif best.sigma and not best.sigma / FAR_OFF <= sigma <= FAR_OFF * best.sigma:
        yield Finding(
            COSTLY,
            f"loss.sigma={sigma:g}: far from {best.sigma:.3g}, the likeliest one of a "
            f"linear model; try --config.loss.sigma={rounded(best.sigma)} or "
            "--config.loss.sigma_learnable=True",
        )
    elif last.used < possible:
        field, cure = f"loss.beta={beta:g}", "try a lower one"
        if beta <= 1:
            field, cure = f"model.z_dim={config.model.z_dim}", "fewer are enough"
        yield Finding(
            rank, f"{field}: only {can} can pay for their KL at this sigma; {cure}"
        )


def _learned_sigma(
    config: ConfigDict, job: assembly.Job, stages: Sequence[Stage]
) -> Iterator[Finding]:
    start, last = config.loss.sigma, stages[-1]
    if not last.sigma:
        yield Finding(
            COSTLY,
            f"model.z_dim={config.model.z_dim}: {last.num_latents} latents can render "
            f"all {(last.variances > 0).sum()} directions in which images vary, so a "
            "learned sigma falls for as long as it is trained; take fewer, or fix it",
        )
        return
    if last.used < last.num_latents and config.loss.beta > 1:
        yield Finding(
            NOTED if last.used else BAD,
            f"loss.beta={config.loss.beta:g}: only {last.used} of {last.num_latents} "
            "latents can pay for their KL; try a lower one",
        )
    needed = forecast.steps_to_reach(job, last, start)
    stage = job.phases[last.index].stage
    given = stage.epochs * stage.steps_per_epoch
    if needed > given:
        yield Finding(
            BAD,
            f"loss.sigma={start:g}: to {last.sigma:.3g} it takes the learned sigma "
            f"{needed:,} steps or more at this optim.lr, but there are {given:,}; "
            f"try --config.loss.sigma={rounded(2 * last.sigma)}, or more epochs",
        )


def of_steps(config: ConfigDict, job: assembly.Job) -> Iterator[Finding]:
    """Batches against data."""
    num = len(job.dataset.train.images)
    field = f"data.batch_size={config.data.batch_size}"
    left_out = {s.batch_size: num % s.batch_size for s in job.plan if s.epochs}
    size, most = max(left_out.items(), key=lambda item: item[1])
    if most > MUCH_LEFT_OUT * num:
        yield Finding(
            NOTED,
            f"{field}: {most} of {num} images do not fill a batch of {size} and are "
            "left out of each epoch, others every time; a smaller batch leaves fewer",
        )
    steps = job.plan[-1].end_step
    if steps < FEW_STEPS:
        yield Finding(
            COSTLY,
            f"{field}: only {steps} steps in the whole run; try a smaller batch or "
            "more epochs",
        )


def of_costs(
    config: ConfigDict, costs: Sequence[Cost], memory_limit: int | None
) -> Iterator[Finding]:
    """What the first steps have shown."""
    bad = max(cost.bad_steps for cost in costs)
    if bad:
        yield Finding(
            BAD,
            f"optim.lr={config.optim.lr}: {bad} of the first steps have a loss or a "
            "gradient that is not finite; try a lower one or "
            "--config.optim.clip_norm=100",
        )
    memory = max(sum(cost.memory.values()) for cost in costs)
    if memory_limit and memory > MOST_MEMORY * memory_limit:
        yield Finding(
            BAD,
            f"data.batch_size={config.data.batch_size}: about {memory / 1e9:.1f} GB of "
            f"the {memory_limit / 1e9:.1f} GB that there are; try a smaller batch",
        )
    seconds, limit = sum(cost.seconds for cost in costs), config.train.max_minutes
    if limit and seconds > 60 * limit:
        yield Finding(
            COSTLY,
            f"train.max_minutes={limit:g}: all epochs take about {duration(seconds)}, "
            "so it stops before the last; the same command goes on",
        )


def shape(stage: Stage) -> str:
    height, width = stage.resolution
    return f"{height}x{width}"


def rounded(value: float) -> str:
    """Two digits, as one would type it."""
    digits = 1 - math.floor(math.log10(value))
    return f"{round(value, digits):g}"
