"""Training steps a second, here and in PyTorch, side by side on one machine.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.train_speed --out=FOLDER
    python -m benchmarks.train_speed --models=mlp,cnn --rounds=9 --seconds=4

First both sides must compute the same loss and gradients on the same weights and
images, or it ends with an error. Then they take turns: ours, the usual PyTorch, the
best PyTorch, ours, ... each in a process of its own, which sleeps while the others
compute. The best PyTorch is the fastest of several forms, each tried for a moment.

Compare the ratios, which are of one round each; a busy machine shows in their spread.
``--torch-python`` names the interpreter that has torch, where it is another one.
"""

import argparse
import contextlib
import json
import pathlib
import tempfile
from typing import Any, NamedTuple

import numpy as np

from benchmarks import cases, checking, flops, summary
from benchmarks.workers import Worker

OURS, USUAL, BEST = "vae_jax", "torch, usual", "torch, best"
TRIAL_SECONDS = 1.0  # for each form of the best
PEAK_SECONDS = 0.3  # for each side, in each round
COLUMNS = ("model", "side", "steps/s", "images/s", "ours over it")
COLUMNS += ("first step, s", "peak memory, MB", "share of peak")


class Setting(NamedTuple):
    """What is the same for all workers of one model."""

    case: str
    images: str  # a file
    precision: str
    changes: dict[str, Any]
    torch_python: str | None
    cache: str  # an empty folder, so that nothing was compiled before

    def ours(self) -> Worker:
        environment = {
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the card is shared in turns
            "JAX_ENABLE_COMPILATION_CACHE": "false",
        }
        return Worker("benchmarks.ours", None, environment, **self._given())

    def torch(self, form: str) -> Worker:
        environment = {"TORCHINDUCTOR_CACHE_DIR": tempfile.mkdtemp(dir=self.cache)}
        module, given = "benchmarks.reference.side", self._given() | {"form": form}
        return Worker(module, self.torch_python, environment, **given)

    def _given(self) -> dict[str, Any]:
        names = "case", "images", "precision", "changes"
        return {name: getattr(self, name) for name in names}


def main(argv: list[str] | None = None) -> None:
    """Measures each model in turn; what is found so far is always written."""
    args = parsed(argv)
    images, source = cases.images(args.images)
    found = {"machine": summary.machine(), "images": source, "models": {}}
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder, "images.npy"))
        np.save(path, images)
        for name in args.models:
            setting = Setting(
                name, path, args.precision, args.changes, args.torch_python, folder
            )
            measured = measure(setting, args.rounds, args.seconds)
            found["models"][name] = measured | {"source": source}
            summary.write(args.out, "train_speed", found, text(found))


def parsed(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", default=",".join(cases.DEFAULT))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each turn")
    parser.add_argument("--images", type=int, default=50_000, help="to train on")
    parser.add_argument("--out", type=pathlib.Path, default="train_speed")
    parser.add_argument(
        "--precision",
        choices=("default", "float32", "tensorfloat32", "bfloat16"),
        default="default",
        help="of matrix products, on both sides; default: JAX's on this device",
    )
    parser.add_argument("--torch-python", help="interpreter with torch; default: this")
    parser.add_argument(
        "--changes", type=json.loads, default={}, help="of config fields, as JSON"
    )
    args = parser.parse_args(argv)
    args.models = args.models.split(",")
    for name in args.models:
        cases.find(name)
    return args


def measure(setting: Setting, rounds: int, seconds: float) -> dict[str, Any]:
    """Everything about one model.

    Raises:
        ValueError: if the sides do not compute the same, or on the same device.
    """
    differences = checked(setting)
    tried, form = fastest(setting)
    with contextlib.ExitStack() as stack:
        sides, first_step = {}, {}
        forms = {OURS: None, USUAL: "usual", BEST: form}
        for side, its_form in forms.items():
            made = setting.ours() if side == OURS else setting.torch(its_form)
            sides[side] = stack.enter_context(made)
            first_step[side] = made.first_step()
        num_steps = {side: steps_in(seconds, worker) for side, worker in sides.items()}
        rates, peaks = {side: [] for side in sides}, []
        for _ in range(rounds):
            for side, worker in sides.items():
                taken = worker.ask("steps", num_steps[side])
                rates[side].append(num_steps[side] / taken)
            peaks.append(max(sides[s].ask("peak", PEAK_SECONDS) for s in (OURS, BEST)))
        facts = {side: worker.ask("facts") for side, worker in sides.items()}
        peak_of_one = None
        if facts[BEST]["platform"] == "cpu":
            peak_of_one = sides[BEST].ask("peak", PEAK_SECONDS, 1)
    config = cases.config(cases.find(setting.case), setting.changes)
    return {
        "same": differences,
        "batch_size": config.data.batch_size[0],
        "flops_per_step": flops_of(setting, config),
        "best_form": form,
        "forms_tried": tried,
        "steps_per_turn": num_steps,
        "steps_per_second": rates,
        "peak_flops": peaks,
        "peak_flops_of_one_thread": peak_of_one,
        "first_step_seconds": first_step,
        "facts": facts,
    }


def flops_of(setting: Setting, config) -> int:
    case = cases.find(setting.case)
    shape = np.load(setting.images, mmap_mode="r").shape[1:]
    layers = flops.layers(config, shape, case.stage, case.fading)
    return flops.step(layers, config.data.batch_size[0])


def checked(setting: Setting) -> dict[str, float]:
    """How far both sides are apart on the same weights and images.

    Raises:
        ValueError: if by more than rounding, or if they are on different devices.
    """
    with setting.ours() as ours, setting.torch("usual") as theirs:
        devices = [side.ask("facts")["platform"] for side in (ours, theirs)]
        if len(set(devices)) > 1:
            raise ValueError(
                f"device: must be the same for both sides, got {devices[0]} here and "
                f"{devices[1]} for torch"
            )
        loss, grads, params = ours.ask("loss_and_grads")
        return checking.check(
            setting.case, (loss, grads), theirs.ask("loss_and_grads", params)
        )


def fastest(setting: Setting) -> tuple[dict[str, Any], str]:
    """The best form of PyTorch, and the steps a second of all, or why there are none.

    Raises:
        RuntimeError: if not one of them works.
    """
    with setting.torch("usual") as worker:
        forms = worker.ask("forms")
    tried: dict[str, Any] = {}
    for form in forms:
        try:
            with setting.torch(form) as worker:
                worker.first_step()
                num = steps_in(TRIAL_SECONDS, worker)
                tried[form] = num / worker.ask("steps", num)
        except RuntimeError as error:  # there may be no compiler
            tried[form] = str(error)
    rates = {form: rate for form, rate in tried.items() if not isinstance(rate, str)}
    if not rates:
        raise RuntimeError(f"torch: one form must work, got {tried}")
    return tried, max(rates, key=rates.get)


def steps_in(seconds: float, worker: Worker) -> int:
    """How many steps take about so long, after some that warm up."""
    num = 1
    while (taken := worker.ask("steps", num)) < seconds / 4 and num < 2**20:
        num *= 2 if taken > seconds / 32 else 4
    return max(1, round(num * seconds / taken))


def text(found: dict[str, Any]) -> str:
    """A table, and what has to be known to read it."""
    rows, notes = [], []
    for name, model in found["models"].items():
        rates, facts = model["steps_per_second"], model["facts"]
        rounds, batch_size = len(rates[OURS]), model["batch_size"]
        for side, its in rates.items():
            ratio = "" if side == OURS else summary.ratios(rates[OURS], its)
            work = [rate * model["flops_per_step"] for rate in its]
            bytes_taken = facts[side]["device_bytes"] or facts[side]["host_bytes"]
            rows.append(
                [
                    name,
                    side,
                    summary.spread(its),
                    f"{summary.spread(its).median * batch_size:,.0f}",
                    ratio,
                    f"{model['first_step_seconds'][side]:.1f}",
                    f"{bytes_taken / 1e6:,.0f}",
                    summary.ratios(work, model["peak_flops"]),
                ]
            )
        notes.append(
            f"- {name}: batch {batch_size}, {rounds} rounds, "
            f"{model['flops_per_step'] / 1e6:,.0f} MFLOP a step; the best PyTorch is "
            f"`{model['best_form']}`; matrix products reach "
            f"{summary.spread([p / 1e9 for p in model['peak_flops']])} GFLOP/s"
        )
        if model["peak_flops_of_one_thread"]:
            notes[-1] += (
                f", {model['peak_flops_of_one_thread'] / 1e9:.3g} on one thread"
            )
    first = next(iter(found["models"].values()))["facts"]
    of = found["machine"]
    head = (
        f"{first[OURS]['version']}, {first[BEST]['version']}; {first[OURS]['device']}; "
        f"{of['cpu']}, {of['cores_usable']} cores, {first[BEST]['threads']} threads of "
        f"torch; load average before {of['load_average']}; {found['images']}.\n"
        "Medians, with the smallest and largest of all rounds; nothing was compiled "
        "before."
    )
    return "\n\n".join([head, summary.table(COLUMNS, rows), "\n".join(notes)])


if __name__ == "__main__":
    main()
