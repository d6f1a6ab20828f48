"""From the command to its first training step, and to its help text.

    python -m benchmarks.startup
    python -m benchmarks.startup --configs=configs/mnist_cnn.py --rounds=5

``cold`` begins with an empty folder of compiled functions, ``warm`` with what the same
command has left there. Each is a process of its own; medians with their range.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parent.parent
# Runs main.py up to the end of its first piece of steps, which is one step.
FIRST_STEP = """
import os, sys, time

import main
from vae_jax import train

make = train.make_run_steps


def make_and_stop(step):
    run_steps = make(step)

    def first(*arguments):
        import jax

        jax.block_until_ready(run_steps(*arguments))
        print(time.time() - float(sys.argv[1]), flush=True)
        os._exit(0)

    return first


train.make_run_steps = make_and_stop
sys.exit(main.main(["main.py", *sys.argv[2:]]))
"""


def seconds(command: list[str], cache: str) -> float:
    """From here to the last line that the command prints, or to its end."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    started = time.time()
    command = [part.replace("STARTED", str(started)) for part in command]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    ended = time.time()
    last = done.stdout.strip().splitlines()[-1]
    return float(last) if last.replace(".", "").isdigit() else ended - started


def first_step(config: str, cache: str) -> float:
    """Of a run of that config in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"--config={config}", f"--workdir={folder}/run"]
        command = [sys.executable, "-c", FIRST_STEP, "STARTED", *flags]
        return seconds(command, cache)


def keep_data(config: str, cache: str) -> None:
    """Has the images in the cache, which are read from there in every round."""
    first_step(config, cache)
    for path in (pathlib.Path(cache) / "vae_jax" / "xla").rglob("*"):
        if path.is_file():
            path.unlink()


def shown(name: str, values: list[float]) -> str:
    """One line of the table."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"| {name} | {middle:.2f} s | {low:.2f} to {high:.2f} |"


def main() -> None:
    """Prints a table as it goes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--configs", default="configs/mnist_mlp.py")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print("| what | median | range |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as cache:
        helps = [[sys.executable, "main.py", "--help"]] * args.rounds
        print(shown("--help", [seconds(one, cache) for one in helps]), flush=True)
    for config in args.configs.split(","):
        cold, warm = [], []
        for _ in range(args.rounds):
            with tempfile.TemporaryDirectory() as cache:
                keep_data(config, cache)
                cold.append(first_step(config, cache))
                warm.append(first_step(config, cache))
        print(shown(f"{config}, cold", cold), flush=True)
        print(shown(f"{config}, warm", warm), flush=True)


if __name__ == "__main__":
    main()
