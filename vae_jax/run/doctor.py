"""``--mode=doctor``: a look at data and config that says what will go wrong."""

import math
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from ml_collections import ConfigDict

from vae_jax import assembly, experiment
from vae_jax.progress import duration
from vae_jax.run import advice, costs, forecast, placement
from vae_jax.run.forecast import Facts, Stage

LOGGER = experiment.LOGGER
DOMAINS = {
    "continuous_bernoulli": "a density on 0 to 1",
    "gaussian": "outputs of any value",
    "gaussian_per_pixel": "outputs of any value, each with a sigma",
    "laplace": "outputs of any value",
    "discretized_logistic": "8-bit levels, a likelihood",
}
SHOWN = 6  # directions of the spectrum


def look(config: ConfigDict, job: assembly.Job) -> list[advice.Finding]:
    """Prints what it finds as it comes, and returns what stands out. Writes nothing."""
    images = forecast.some_images(config, job.dataset)
    facts = forecast.facts(images, config.data.scale)
    LOGGER.info("%s", about_data(config, job, facts))
    stages = forecast.stages(config, job, images)
    LOGGER.info("%s", about_latents(config, stages, len(images)))
    of_stages = list(_told(config, job))
    found = advice.findings(
        config, job, facts, stages, of_stages, placement.memory_limit()
    )
    LOGGER.info("%s", verdict(found))
    return found


def about_data(config: ConfigDict, job: assembly.Job, facts: Facts) -> str:
    dataset = job.dataset
    height, width, channels = dataset.train.images.shape[1:]
    sizes = [len(s.images) for s in (dataset.train, dataset.valid, dataset.test)]
    lines = [
        f"data: {dataset.name}, images of {height}x{width}x{channels}",
        _line("images", "{:,} training, {:,} validation, {:,} test".format(*sizes)),
        _line("looked at", f"{facts.num:,} of {sizes[0]:,} training images"),
        _line(
            "values",
            f"{facts.low:.3g} to {facts.high:.3g}, mean {facts.mean:.3g}, standard "
            f"deviation {facts.deviation:.3g}; {facts.grey:.1%} are grey",
        ),
        _line("likelihood", _domain(config, facts)),
        _line(
            "constant",
            f"{facts.constant_values} of {facts.num_values} values are the same in "
            f"all images; {facts.flat_images} images are of one value",
        ),
    ]
    return "\n".join([*lines, *_batches(job, sizes[0])])


def _domain(config: ConfigDict, facts: Facts) -> str:
    if config.loss.recon != "bce":
        return f"{config.loss.recon}: {DOMAINS[config.loss.recon]}"
    grey = facts.grey or config.data.scale != "unit"  # in which nothing is 0 or 1
    kind = "a cross-entropy, as values are grey" if grey else "a likelihood"
    return f"bce: outputs of 0 to 1, {kind}"


def _batches(job: assembly.Job, num: int) -> list[str]:
    """One line, or one for each stage with another batch size."""
    lines = {}
    for stage in job.plan:
        if stage.epochs:
            left = num - stage.steps_per_epoch * stage.batch_size
            lines[stage.batch_size] = _line(
                f"batches of {stage.batch_size}",
                f"{stage.steps_per_epoch:,} an epoch; {left:,} images left "
                f"out of each, {left / num:.1%}",
            )
    return [*lines.values(), _line("steps", f"{job.plan[-1].end_step:,} in the run")]


def about_latents(config: ConfigDict, stages: Sequence[Stage], num: int) -> str:
    if not stages:
        beyond = ", ".join(forecast.beyond_theory(config))
        return f"latents: no forecast of what they can gain with {beyond}"
    theory = "bounds on" if config.loss.recon == "bce" else "the linear theory of"
    head = f"latents: what they can gain, by {theory} {config.loss.recon} VAEs"
    head += f", {num:,} images"
    if len(stages) == 1:
        return "\n".join([head, *_one_stage(config, stages[0])])
    columns = [_row(config, stage) for stage in stages]
    rows = [tuple(columns[0]), *(tuple(column.values()) for column in columns)]
    notes = ["  Nats per image in each stage, against no latents at all. One can pay"]
    notes += ["  where images vary more than the threshold, beta * sigma^2."]
    if config.loss.stage_loss_scale != "none":
        notes.append("  Both are with loss.stage_loss_scale.")
    return "\n".join([head, *_aligned(rows), *notes])


def _row(config: ConfigDict, stage: Stage) -> dict[str, str]:
    least = ">=" if config.loss.recon == "bce" else ""
    row = {
        "stage": str(stage.index),
        "grid": advice.shape(stage),
        "latents": str(stage.num_latents),
        "can pay": f"{least}{stage.used}",
        "gain at least": nats(stage.gain),
        "at most": nats(stage.ceiling),
        "variances": _first(stage.variances, 3),
        "threshold": f"{stage.beta * stage.sigma**2:.3g}",
    }
    if stage.best:
        row["likeliest sigma"] = f"{stage.best.sigma:.3g}"
    return row


def _one_stage(config: ConfigDict, stage: Stage) -> list[str]:
    of = f"{stage.used} of {stage.num_latents} latents can pay for their KL"
    sure = "at least " if config.loss.recon == "bce" else ""
    lines = [
        _line("variances", f"{_first(stage.variances)} along principal directions"),
        _line("threshold", f"{stage.beta * stage.sigma**2:.3g} = beta * sigma^2"),
        _line("", f"with beta {stage.beta:g}, {_sigma(config, stage)}"),
        _line("above it", f"{sure}{of}"),
    ]
    if stage.used:
        lines.append(_line("each gains", f"{_first(stage.gains)} nats per image"))
    lines.append(_line("together", _range(stage)))
    if stage.best and not config.loss.sigma_learnable:
        lines.append(
            _line(
                "likeliest sigma",
                f"{stage.best.sigma:.3g}, where {stage.best.latents} of "
                f"{stage.num_latents} latents can pay",
            )
        )
    return lines


def _sigma(config: ConfigDict, stage: Stage) -> str:
    if config.loss.recon == "bce":
        return "sigma 1/2, which bounds bce"
    if config.loss.sigma_learnable:
        return f"sigma {stage.sigma:.3g}, the likeliest, as it is learned"
    return f"sigma {stage.sigma:g}, as it is fixed"


def _range(stage: Stage) -> str:
    if math.isinf(stage.ceiling):
        return f"{nats(stage.gain)} nats over none, whose sigma is larger"
    return f"{nats(stage.gain)} nats or more, and no more than {nats(stage.ceiling)}"


def _told(config: ConfigDict, job: assembly.Job) -> Iterator[costs.Cost]:
    """Costs, each told when it is known."""
    kind = jax.devices()[0].device_kind
    LOGGER.info("cost on this device, %s, estimated from a few steps", kind)
    total, grows = 0.0, len(job.phases) > 1
    for cost in costs.of_stages(job, config):
        if not total:
            LOGGER.info("%s", _line("parameters", f"{cost.parameters:,}"))
        total += cost.seconds
        name = f"stage {cost.index}" if grows else "time"
        LOGGER.info("%s", _line(name, _time(cost)))
        if cost.memory:
            LOGGER.info("%s", _line("  memory" if grows else "memory", _memory(cost)))
        yield cost
    LOGGER.info("%s", _line("all steps", f"{duration(total)}, without evaluation"))


def _time(cost: costs.Cost) -> str:
    seconds = cost.step_seconds
    step = f"{1000 * seconds:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"
    return (
        f"{step} a step, {duration(cost.epoch_seconds)} an epoch, "
        f"{duration(cost.seconds)} for {cost.epochs}; "
        f"compiled in {duration(cost.compile_seconds)}"
    )


def _memory(cost: costs.Cost) -> str:
    parts = ", ".join(f"{name} {size / 1e6:.3g}" for name, size in cost.memory.items())
    return f"{sum(cost.memory.values()) / 1e6:.3g} MB: {parts}"


def verdict(found: Sequence[advice.Finding]) -> str:
    if not found:
        return "verdict: nothing stands out"
    return "\n".join(["verdict, worst first:", *(f"  - {one.text}" for one in found)])


def nats(value: float) -> str:
    return "no limit" if math.isinf(value) else f"{value:.3g}"


def _first(values: np.ndarray, num: int = SHOWN) -> str:
    more = " ..." if len(values) > num else ""
    return "  ".join(f"{value:.3g}" for value in values[:num]) + more


def _line(name: str, text: str) -> str:
    return f"  {name:<18}{text}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[f"{c:<{w}}" for c, w in zip(row, widths, strict=True)] for row in rows]
    return [f"  {'  '.join(cells)}".rstrip() for cells in padded]
