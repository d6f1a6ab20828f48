"""What else is asked of an accelerator; ``benchmarks/accelerator.sh`` runs all of it.

    python -m benchmarks.accelerator profile --out=FOLDER
    python -m benchmarks.accelerator precision --out=FOLDER
    python -m benchmarks.accelerator batch --out=FOLDER
    python -m benchmarks.accelerator unroll --out=FOLDER

profile    where the time of a step goes, and for how much of it the device is idle
precision  steps a second, and the test ELBO after a short training, by precision of
           matrix products, over several seeds
batch      images a second of ever larger batches, until memory is full
unroll     steps a second with several steps to each turn of the compiled loop, and
           whether the result then still does not depend on where an epoch is cut
"""

import argparse
import functools
import itertools
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks import cases, ours, summary, tracing
from vae_jax import assembly, evaluate, train

PRECISIONS = ("float32", "tensorfloat32", "bfloat16")
UNROLLS = (1, 2, 4, 8)
SEEDS = (0, 1, 2)
NO_MEMORY = "RESOURCE_EXHAUSTED"


class Trainer:
    """A job at its first stage, and a state that advances."""

    def __init__(self, name: str, images: np.ndarray, **changes: Any):
        self.config = cases.config(cases.find(name), changes)
        job = assembly.build(self.config, ours.dataset(images))
        self.phase, self.images = job.phases[0], jax.device_put(images)
        self.state, self.epoch = job.initial_state(), 0
        self.num_batches = self.phase.stage.steps_per_epoch

    def order(self) -> np.ndarray:
        size = self.phase.stage.batch_size
        return train.epoch_order(self.config.seed, self.epoch, len(self.images), size)

    def step(self) -> train.StepFn:
        """The step that ``phase.run_steps`` repeats."""
        tx = assembly.optimiser(self.config, self.phase.model)
        first_step = self.phase.stage.first_step
        return train.make_step(self.phase.attempt, tx, first_step=first_step)

    def take(self, num: int, run_steps=None) -> float:
        """Seconds for further steps, of as many epochs as it takes."""
        run_steps = run_steps or self.phase.run_steps
        began = time.perf_counter()
        while num:
            piece, order = min(num, self.num_batches), jnp.asarray(self.order())
            given = self.images, order, 0, piece, self.phase.hparams
            self.state = run_steps(train.start_epoch(self.state), *given)
            int(self.state.step)
            self.epoch, num = self.epoch + 1, num - piece
        return time.perf_counter() - began

    def rate(self, seconds: float, run_steps=None) -> float:
        """Steps a second, after a first call that compiles."""
        self.take(1, run_steps)
        num = 1
        while (taken := self.take(num, run_steps)) < seconds / 4:
            num *= 2
        num = max(1, round(num * seconds / taken))
        return num / self.take(num, run_steps)


# A study yields all numbers and their table anew whenever it has more: a limit of time
# or an error takes nothing away.
Study = Iterator[tuple[dict[str, Any], str]]


def profile(args: argparse.Namespace) -> Study:
    """Time by kernel, and in how much of it no kernel ran."""
    found, parts = {}, []
    for name in args.models:
        trainer = Trainer(name, cases.images(args.images)[0])
        trainer.take(args.steps)
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder):
                taken = trainer.take(args.steps)
            events = tracing.device_events(pathlib.Path(folder))
        busy = tracing.busy(events)
        found[name] = its = {
            "us_per_step": 1e6 * taken / args.steps,
            "busy_us_per_step": busy.covered / args.steps,
            "kernels_per_step": len(events) / args.steps,
            "top": {kernel: us / args.steps for kernel, us in busy.top},
        }
        rows = [
            ["a step, under the profiler", f"{its['us_per_step']:.4g}"],
            ["of it, with a kernel at work", f"{its['busy_us_per_step']:.4g}"],
            *((f"`{kernel[:60]}`", f"{us:.4g}") for kernel, us in its["top"].items()),
        ]
        note = f"{name}: {its['kernels_per_step']:.1f} kernels a step"
        parts.append(f"{note}\n\n{summary.table(('what', 'microseconds'), rows)}")
        yield found, "\n\n".join(parts)


def precision(args: argparse.Namespace) -> Study:
    """Speed and test ELBO of each precision."""
    images = cases.images(args.images + args.test_images)[0]
    training, test = images[: args.images], images[args.images :]
    header = "model", "precision", "steps/s", "test ELBO, median", "lowest", "highest"
    note = f"{args.epochs} epochs of {args.images} images, seeds {args.seeds}"
    found, rows = {}, []
    for name in args.models:
        for kind in PRECISIONS:
            with jax.default_matmul_precision(kind):
                rate = Trainer(name, training).rate(args.seconds)
                elbos = [_elbo(name, training, test, seed, args) for seed in args.seeds]
            found[f"{name} {kind}"] = {"steps_per_second": rate, "elbo": elbos}
            spread = summary.spread(elbos)
            low, high = f"{spread.low:.3f}", f"{spread.high:.3f}"
            rows.append([name, kind, f"{rate:.4g}", f"{spread.median:.3f}", low, high])
            yield found, f"{note}\n\n{summary.table(header, rows)}"


def _elbo(name, training, test, seed, args) -> float:
    trainer = Trainer(name, training, seed=seed)
    trainer.take(args.epochs * trainer.num_batches)
    phase, params = trainer.phase, trainer.state.params
    with jax.default_matmul_precision("float32"):  # of training alone, not of the bound
        terms = phase.terms(params, test, phase.hparams)
    return evaluate.estimate(terms["elbo"]).value


def batch(args: argparse.Namespace) -> Study:
    """Images a second by batch size, up to the last that memory holds."""
    header, found, rows = ("model", "batch", "images/s"), {}, []
    for name in args.models:
        size, found[name] = args.smallest_batch, {}
        while size <= args.largest_batch:
            found[name][size] = rate = _images_per_second(name, size, args)
            shown = f"{rate:,.0f}" if rate else "out of memory"
            rows.append([name, f"{size:,}", shown])
            yield found, summary.table(header, rows)
            if not rate:
                break
            size *= 8


def _images_per_second(name: str, size: int, args: argparse.Namespace) -> float | None:
    """At a batch size; None if it does not fit into memory."""
    shape = max(size, args.images), *cases.SHAPE
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    try:
        return size * Trainer(name, images, **{"data.batch_size": (size,)}).rate(
            args.seconds
        )
    except jax.errors.JaxRuntimeError as error:
        if NO_MEMORY not in str(error):
            raise
        return None


def unroll(args: argparse.Namespace) -> Study:
    """Speed by steps to a turn, and whether the cut changes the result."""
    header = "model", "steps to a turn", "steps/s", "the same however cut"
    images, found, rows = cases.images(args.images)[0], {}, []
    for name in args.models:
        for times in UNROLLS:
            trainer = Trainer(name, images)
            run_steps = unrolled(trainer.step(), times)
            whole, pieces = (
                _after(Trainer(name, images), run_steps, cuts)
                for cuts in ((0, 13), (0, 1, 6, 13))
            )
            equal = all(map(np.array_equal, whole, pieces))
            rate = trainer.rate(args.seconds, run_steps)
            found[f"{name} {times}"] = {"steps_per_second": rate, "cut_free": equal}
            rows.append([name, times, f"{rate:.4g}", "yes" if equal else "no"])
            yield found, summary.table(header, rows)


def unrolled(step: train.StepFn, times: int) -> Callable[..., train.TrainState]:
    """``train.make_run_steps`` with several steps to a turn; those left one by one."""

    @functools.partial(jax.jit, donate_argnums=0)
    def run_steps(state, images, order, start, stop, hparams):
        def turn(carry, num):
            i, state = carry
            for _ in range(num):
                i, state = i + 1, step(state, images[order[i]], hparams)
            return i, state

        carry = jnp.int32(start), state
        for num in (times, 1):
            body = functools.partial(turn, num=num)
            goes_on = functools.partial(_goes_on, num=num, stop=stop, hparams=hparams)
            carry = lax.while_loop(goes_on, body, carry)
        return carry[1]

    return run_steps


def _goes_on(carry, num, stop, hparams):
    i, state = carry
    return (i + num <= stop) & (state.bad_in_a_row < hparams.max_bad_steps)


def _after(trainer: Trainer, run_steps, cuts: tuple[int, ...]) -> list[np.ndarray]:
    order, state = jnp.asarray(trainer.order()), trainer.state
    for start, stop in itertools.pairwise(cuts):
        given = trainer.images, order, start, stop, trainer.phase.hparams
        state = run_steps(state, *given)
    return jax.device_get(jax.tree.leaves(state.params))


STUDIES = {f.__name__: f for f in (profile, precision, batch, unroll)}


def main(argv: list[str] | None = None) -> None:
    """Runs one study; what it finds so far is always written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accelerator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument(
        "--models", type=lambda text: text.split(","), default="mlp,cnn"
    )
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each rate")
    parser.add_argument("--steps", type=int, default=100, help="to profile")
    parser.add_argument("--epochs", type=int, default=5, help="to train for the ELBO")
    parser.add_argument("--test-images", type=int, default=10_000)
    parser.add_argument("--num-seeds", type=int, default=len(SEEDS))
    parser.add_argument("--smallest-batch", type=int, default=128)
    parser.add_argument("--largest-batch", type=int, default=2**22)
    parser.add_argument("--out", type=pathlib.Path, default="accelerator")
    args = parser.parse_args(argv)
    args.seeds = SEEDS[: args.num_seeds]
    machine = summary.machine() | {"device": jax.devices()[0].device_kind}
    for found, text in STUDIES[args.study](args):
        text = f"{args.study}: {machine}\n\n{text}"
        numbers = {"machine": machine, args.study: found}
        summary.write(args.out, args.study, numbers, text)


if __name__ == "__main__":
    main()
