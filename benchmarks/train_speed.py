"""Training steps a second, of this project and of PyTorch, side by side.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.train_speed
    python -m benchmarks.train_speed --models=mlp,cnn --rounds=7 --out=speed

Every side is a process of its own, and one works at a time: A B C A B C and so on.
First both must compute the same loss and gradient on the same parameters and batch.
Compare ratios of one run only. PyTorch is measured in three styles: ``usual``, a
DataLoader and a Python loop; ``memory``, images on the device and a fused optimiser,
without waiting; ``compiled``, the same under ``torch.compile``. The faster of the last
two is its best. Images are random bytes of MNIST's shape, on whose values no time
depends.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks import worker

MODELS = ("mlp", "cnn", "provae0", "provae1", "provae2", "provae3")
ALIKE = 1e-4  # relative, of loss and gradient: float32 rounding through a few layers
SECONDS = 2.0  # of one measurement, about


class Side(NamedTuple):
    """A process that steps on demand, and what it said when it was ready."""

    name: str
    process: subprocess.Popen
    ready: dict[str, Any]

    def ask(self, order: str) -> Any:
        """The answer to one order."""
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return _answer(self.process, self.name)


def _answer(process: subprocess.Popen, name: str) -> Any:
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{name}: its process has ended; its own words are above")
    return json.loads(line)


@contextlib.contextmanager
def started(name: str, model: str, batch_size: int) -> Iterator[Side]:
    """A side that has taken its first step."""
    command = [sys.executable, "-m", "benchmarks.worker", name, model, str(batch_size)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            yield Side(name, process, _answer(process, name))
        finally:
            process.stdin.close()
            process.wait()


def check_alike(sides: Sequence[Side]) -> dict[str, float]:
    """How far PyTorch's loss and gradient are from ours; ends the program if far."""
    ours, theirs = sides[0], sides[1]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/gradient"
        ours.ask(f"gradient {path}")
        found = theirs.ask(f"gradient {path}")
    for what, off in found.items():
        if not off < ALIKE:
            raise SystemExit(
                f"{what}: both sides must agree within {ALIKE:g}, got {off:.3g}"
            )
    return found


def measure(model: str, batch_size: int, rounds: int) -> dict[str, Any]:
    """All that one row of the table says."""
    with contextlib.ExitStack() as stack:
        sides = [
            stack.enter_context(started(name, model, batch_size))
            for name in worker.SIDES
        ]
        off = check_alike(sides)
        peaks, seconds, steps = [sides[0].ask("peak")], {}, {}
        for side in sides:
            one = min(side.ask("steps 3") / 3 for _ in range(2))
            steps[side.name] = max(int(SECONDS / one), 3)
        for _ in range(rounds):
            for side in sides:
                num = steps[side.name]
                each = side.ask(f"steps {num}") / num
                seconds.setdefault(side.name, []).append(each)
        peaks.append(sides[0].ask("peak"))
        memory = {side.name: side.ask("memory") for side in sides}
    return {
        "model": model,
        "batch_size": batch_size,
        "devices": {side.name: side.ready["device"] for side in sides},
        "off": off,
        "flops_per_step": sides[1].ready["flops"],
        "peak_flops_per_second": max(peaks),
        "seconds_per_step": seconds,
        "first_step_seconds": {s.name: s.ready["first_step_seconds"] for s in sides},
        "peak_memory": memory,
    }


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Medians, ratios of rounds, and the share of the peak."""
    times = found["seconds_per_step"]
    median = {side: statistics.median(of) for side, of in times.items()}
    best = min(("memory", "compiled"), key=median.get)

    def ratios(side):
        return [b / a for a, b in zip(times["ours"], times[side], strict=True)]

    of_best, of_usual = ratios(best), ratios("usual")
    rate = found["flops_per_step"] / median["ours"]
    return {
        "model": found["model"],
        "steps_per_second": {side: 1 / one for side, one in median.items()},
        "images_per_second": found["batch_size"] / median["ours"],
        "best": best,
        "over_best": statistics.median(of_best),
        "over_best_range": [min(of_best), max(of_best)],
        "over_usual": statistics.median(of_usual),
        "share_of_peak": rate / found["peak_flops_per_second"],
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown, one line for each model."""
    head = (
        "| model | ours, steps/s | images/s | usual | memory | compiled | ours over "
        "best | its range | ours over usual | share of the product peak |"
    )
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    for row in rows:
        rate = row["steps_per_second"]
        low, high = row["over_best_range"]
        cells = [
            row["model"],
            f"{rate['ours']:.4g}",
            f"{row['images_per_second']:,.0f}",
            *(f"{rate[side]:.4g}" for side in ("usual", "memory", "compiled")),
            f"{row['over_best']:.2f} ({row['best']})",
            f"{low:.2f} to {high:.2f}",
            f"{row['over_usual']:.2f}",
            f"{row['share_of_peak']:.0%}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measures, prints as it goes, and writes the table and everything measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", help="folder for speed.md and speed.json")
    args = parser.parse_args()
    names = args.models.split(",")
    if unknown := set(names) - set(MODELS):
        parser.error(f"--models: must be of {', '.join(MODELS)}, got {unknown.pop()!r}")
    found, rows = [], []
    for name in names:
        found.append(measure(name, args.batch_size, args.rounds))
        rows.append(summary(found[-1]))
        print(table(rows[-1:]) if len(rows) == 1 else table(rows).splitlines()[-1])
        sys.stdout.flush()
    if args.out:
        folder = pathlib.Path(args.out)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "speed.md").write_text(table(rows) + "\n")
        (folder / "speed.json").write_text(json.dumps({"rows": rows, "raw": found}))


if __name__ == "__main__":
    main()
