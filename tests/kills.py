"""Kills training at random moments, and compares what comes of it in the end.

    python tests/kills.py --kills=50 --seed=0

Each run is killed with SIGKILL, and begun again with the same command, until it ends;
then its state, log, evaluation and pictures must equal those of a run that was left
alone, bit for bit. It goes round the configs until so many kills are done.
"""

import argparse
import collections
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import numpy as np
import test_end_to_end as plain
import test_end_to_end_growing as growing

ROOT = pathlib.Path(__file__).parents[1]
OFTEN = ["--config.checkpoint.every_steps=3", "--config.train.epochs=6"]
GROWING = [*growing.SMALL, "--config.checkpoint.every_steps=3"]
RUNS = {
    "mlp": ["--config=configs/digits_mlp.py", *plain.SMALL, *OFTEN, *plain.EVERYTHING],
    "cnn": [
        "--config=configs/digits_cnn.py",
        *plain.SMALL,
        *OFTEN,
        "--config.optim.schedule=cosine",
        "--config.loss.reduction=mean",
    ],
    "provae": [*GROWING, "--config.model.name=provae"],
    "resprovae": [*GROWING, "--config.model.name=resprovae"],
}
MOMENTS = ("anywhere", "training", "saving", "finishing")
LIMIT = 900  # seconds that no process of these should need


class Moment(NamedTuple):
    """When to kill: so long after something has been seen so often."""

    kind: str
    times: int
    delay: float


class Process:
    """One process of training, and what can be seen of it from outside."""

    def __init__(self, name: str, folder: pathlib.Path):
        self.folder = folder
        command = [sys.executable, "main.py", *RUNS[name], f"--workdir={folder}"]
        self._began = time.monotonic()
        self.log = folder.with_suffix(".log")
        with open(self.log, "a") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
            )

    def is_over(self) -> bool:
        if time.monotonic() - self._began > LIMIT:
            self._process.kill()
            raise TimeoutError(f"{self.folder}: still at work after {LIMIT} s")
        return self._process.poll() is not None

    def seen(self, moment: Moment) -> bool:
        """Whether what the moment waits for is there now."""
        checkpoints = self.folder / "checkpoints"
        if moment.kind == "anywhere":
            return True
        if moment.kind == "training":
            return checkpoints.exists()
        if moment.kind == "finishing":
            return len(list((self.folder / "plots").glob(".*"))) > 0 or (
                (self.folder / "eval.json").exists()
            )
        return bool(unfinished(checkpoints))

    def wait(self, moment: Moment) -> bool:
        """Waits for a moment to kill; False if the process is over before."""
        times, before = 0, False
        while times < moment.times:
            if self.is_over():
                return False
            now = self.seen(moment)
            times += now and not before
            before = now
            time.sleep(0.001)
        end = time.monotonic() + moment.delay
        while time.monotonic() < end:
            if self.is_over():
                return False
            time.sleep(0.001)
        return not self.is_over()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def finish(self) -> float:
        """Waits for the end; the seconds since the beginning."""
        while not self.is_over():
            time.sleep(0.05)
        if self._process.returncode:
            text = self.log.read_text()[-3000:]
            raise AssertionError(f"{self.folder}: ended with an error:\n{text}")
        return time.monotonic() - self._began


def unfinished(checkpoints: pathlib.Path) -> list[str]:
    """The folders in which a checkpoint is being written, or was when it was killed."""
    try:
        return [name for name in os.listdir(checkpoints) if not name.isdigit()]
    except FileNotFoundError:
        return []


def choose(rng: np.random.Generator, seconds: float) -> Moment:
    """A moment of any kind, in a process that takes about so many seconds."""
    kind = MOMENTS[rng.integers(len(MOMENTS))]
    times = int(rng.integers(1, 6)) if kind == "saving" else 1
    longest = {
        "anywhere": seconds,
        "training": seconds / 2,
        "saving": 0.05,
        "finishing": seconds / 4,
    }
    return Moment(kind, times, float(rng.uniform(0, longest[kind])))


def kill_and_compare(
    name: str, kills: int, rng: np.random.Generator, root: pathlib.Path, say=print
) -> collections.Counter:
    """So many kills of one config.

    Returns:
        How many of each kind there were, how many left a checkpoint half written
        (``half-written``), and how many runs came to their end and were compared
        (``compared``).

    Raises:
        AssertionError: if a run that was killed differs from one that was not.
    """
    whole = root / f"{name}_whole"
    seconds = Process(name, whole).finish()
    say(f"{name}: left alone, it takes {seconds:.1f} s")
    count, number, done = collections.Counter(), 0, 0
    while True:
        folder = root / f"{name}_{number}"
        moment = choose(rng, seconds) if done < kills else None
        process = Process(name, folder)
        if moment and process.wait(moment):
            process.kill()
            done += 1
            left = unfinished(folder / "checkpoints")
            count[moment.kind] += 1
            count["half-written"] += bool(left)
            say(f"  {done}: {moment.kind} {moment.delay:.2f} s; left: {left or '-'}")
            continue
        process.finish()
        plain.assert_same_run(folder, whole)
        count["compared"] += 1
        say(f"  {folder.name}: the same")
        number += 1
        if done == kills:
            return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    total = collections.Counter()
    with tempfile.TemporaryDirectory() as root:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = f"{root}/compiled"
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
        for i, name in enumerate(RUNS):
            share = (args.kills * (i + 1)) // len(RUNS) - args.kills * i // len(RUNS)
            rng = np.random.default_rng((args.seed, i))
            total += kill_and_compare(name, share, rng, pathlib.Path(root))
    print(f"no difference: {dict(total)}")


if __name__ == "__main__":
    main()
