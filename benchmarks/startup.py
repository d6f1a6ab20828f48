"""Seconds from ``python main.py`` to the end of the first training step, and of --help.

    python -m benchmarks.startup --out=FOLDER
    python -m benchmarks.startup --configs=mnist_mlp --rounds=9

Every round is a process of its own: cold, with an empty folder as compilation cache,
and warm, with the folder of an earlier one. What main.py is given is what a user gives
it; the process ends as soon as the first piece of training, which is one step, is done.
A first round that is not counted brings the files into the system's memory.
"""

import argparse
import importlib.abc
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks import summary

ROOT = pathlib.Path(__file__).parents[1]
COLUMNS = ("command", "compilation cache", "seconds")
MARK = "first step at "


class After(importlib.abc.MetaPathFinder):
    """Calls ``act(module)`` as soon as a module of that name is imported.

    Unlike an import here, it leaves to main.py when that is, and what it sets before.
    """

    def __init__(self, name: str, act):
        self._name, self._act = name, act

    def find_spec(self, name, path, target=None):
        del path, target
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_act(module):
            execute(module)
            self._act(module)

        spec.loader.exec_module = execute_and_act
        return spec


def end_after_first_step(train: Any) -> None:
    """Makes the first ``run_steps`` say when it is done, and end the process."""
    make = train.make_run_steps

    def make_run_steps(*arguments, **options):
        run_steps = make(*arguments, **options)

        def run_and_end(*arguments, **options):
            state = run_steps(*arguments, **options)
            assert int(state.step) >= 1  # waits for it
            print(f"{MARK}{time.monotonic()}", flush=True)
            os._exit(0)

        return run_and_end

    train.make_run_steps = make_run_steps


def child(argv: list[str]) -> int:
    """``python main.py``, up to the first step."""
    sys.meta_path.insert(0, After("vae_jax.train", end_after_first_step))
    import main as program

    return program.main(["main.py", *argv])


def to_first_step(config: str, cache: str) -> float:
    """Seconds that a new process takes.

    Raises:
        RuntimeError: if it does not come to a first step.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.startup", "--child"]
        command += [f"--config=configs/{config}.py", f"--workdir={folder}/run"]
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"JAX_COMPILATION_CACHE_DIR": cache},
            capture_output=True,
            text=True,
        )
    _, found, moment = done.stdout.rpartition(MARK)
    if not found:
        raise RuntimeError(f"{config}: must come to a first step, got {done.stderr}")
    return float(moment) - began


def to_help() -> float:
    """Seconds of ``python main.py --help``."""
    began = time.monotonic()
    command = [sys.executable, "main.py", "--help"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.monotonic() - began


def measure(configs: list[str], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of every round, by command and state of the cache; by turns."""
    found = {"--help": {"": []}}
    found |= {config: {"cold": [], "warm": []} for config in configs}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(-1, rounds):
            times = {"--help": {"": to_help()}}
            for config in configs:
                warm = str(pathlib.Path(folder, config))
                cold = tempfile.mkdtemp(dir=folder)
                times[config] = {
                    "cold": to_first_step(config, cold),
                    "warm": to_first_step(config, warm),
                }
            if number < 0:  # fills the warm cache
                continue
            for command, its in times.items():
                for state, seconds in its.items():
                    found[command][state].append(seconds)
    return found


def main(argv: list[str] | None = None) -> None:
    """Measures and writes a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.startup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--configs", default="mnist_mlp,mnist_cnn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default="startup")
    args = parser.parse_args(argv)
    machine = summary.machine()
    found = measure(args.configs.split(","), args.rounds)
    rows = [
        (command, state, summary.spread(seconds))
        for command, its in found.items()
        for state, seconds in its.items()
    ]
    text = f"{machine}, {args.rounds} rounds\n\n{summary.table(COLUMNS, rows)}"
    summary.write(args.out, "startup", {"machine": machine, "seconds": found}, text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        sys.exit(child(sys.argv[2:]))
    main()
