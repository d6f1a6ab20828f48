"""Training on images that are streamed, against the same on the device; and its memory.

    python -m benchmarks.streaming [--config=mnist_cnn --limit=8192] [--gigabytes=2]

Speed: whole epochs of a config in turn with its images on the device (for a CPU, in its
memory), streamed from an array, and streamed from npy files; each ratio is one of
epochs that follow each other. Memory: the digests, an epoch and an evaluation of a
small network on files of random images that are never in memory. Of what a process
holds, RssAnon is its own; RssFile are pages of files, which the system drops when it
needs the room.
"""

import argparse
import importlib
import os
import pathlib
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator

import jax
import numpy as np
from ml_collections import ConfigDict

from vae_jax import assembly, data, evaluate
from vae_jax.data import own_npy
from vae_jax.run import placement
from vae_jax.run.stepping import feed_of

SHARDS = 10
SIDE = 64  # pixels of the random images, in colour
STATUS = pathlib.Path("/proc/self/status")
KINDS = ("RssAnon", "RssFile")


def config_of(config_name: str, **of_data) -> ConfigDict:
    config = importlib.import_module(f"configs.{config_name}").get_config()
    config.data.update(of_data)
    return config


def write_shards(folder: pathlib.Path, images: Iterator[np.ndarray], count: int) -> str:
    for number, some in enumerate(images):
        np.save(folder / f"train-{number:05}-of-{count:05}.npy", some)
    return str(folder)


def speed(name: str, limit: int, rounds: int, folder: pathlib.Path) -> None:
    """Prints a table of images a second."""
    config = config_of(name, limit=limit)
    array = assembly.load_data(config)
    shards = np.array_split(array.train.images, SHARDS)
    path = write_shards(folder, iter(shards), SHARDS)
    files = array._replace(train=own_npy.load(path).train)
    jobs = {"device": array, "stream": array, "stream, files": files}
    feeds, states = {}, {}
    for kind, dataset in jobs.items():
        job = assembly.build(config, dataset)
        config.data.placement = kind.split(",")[0]
        feeds[kind] = feed_of(job, config), job.phases[0]
        states[kind] = feeds[kind][0].begin(job.initial_state())
    rates = {kind: [] for kind in jobs}
    for _ in range(rounds + 1):  # the first one compiles
        for kind, (feed, phase) in feeds.items():
            began = time.perf_counter()
            states[kind] = feed.take(phase, states[kind], phase.stage.steps_per_epoch)
            jax.block_until_ready(states[kind])
            seconds = time.perf_counter() - began
            steps = phase.stage.steps_per_epoch * phase.stage.batch_size
            rates[kind].append(steps / seconds)
    print(f"{name}, {len(array.train.images)} images, {rounds} epochs of each")
    for kind, found in rates.items():
        ratios = np.divide(found, rates["device"])[1:]
        print(
            f"  {kind:14} {statistics.median(found[1:]):10.0f} images/s "
            f"({min(found[1:]):.0f} to {max(found[1:]):.0f}); of device "
            f"{statistics.median(ratios):.3f} ({ratios.min():.3f} to "
            f"{ratios.max():.3f})",
            flush=True,
        )
    same = [
        all(map(np.array_equal, *map(jax.tree.leaves, (a.params, b.params))))
        for a, b in zip(states.values(), list(states.values())[1:], strict=False)
    ]
    print(f"  parameters are the same to the last bit: {all(same)}", flush=True)


class Watch:
    """The most that the process has held of each kind of memory."""

    def __init__(self):
        self.most = dict.fromkeys(KINDS, 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.wait(0.01):
            for kind, size in held().items():
                self.most[kind] = max(self.most[kind], size)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()


def held() -> dict[str, int]:
    """Bytes of each kind of memory that this process holds."""
    lines = dict(re.findall(r"(\w+):\s+(\d+) kB", STATUS.read_text()))
    return {kind: 1024 * int(lines[kind]) for kind in KINDS}


def memory(gigabytes: float, folder: pathlib.Path) -> None:
    """Prints what is held while a file of so many is loaded, trained on, evaluated."""
    count = int(gigabytes * 1e9) // (SIDE * SIDE * 3 * SHARDS)
    rng = np.random.default_rng(0)
    shape = count, SIDE, SIDE, 3
    shards = (rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(SHARDS))
    config = config_of("mnist_mlp", name="npy", path=write_shards(folder, shards, 10))
    config.data.valid_size = 0
    config.model.hidden_dim = 16
    config.loss.recon = "gaussian"
    dataset = assembly.load_data(config)
    job = assembly.build(config, dataset)
    (phase,) = job.phases
    state = job.initial_state()
    # Compiled before anything counts, for which XLA takes more than for all the rest.
    phase.terms(state.params, dataset.test.images[:1], phase.hparams)
    state = feed_of(job, config).advance(state, 1)
    before = held()
    with Watch() as watch:
        for split in (dataset.train, dataset.test):
            data.digest(split)
        feed = feed_of(job, config)
        state = feed.advance(state, phase.stage.steps_per_epoch)
        terms = phase.terms(state.params, dataset.test.images, phase.hparams)
        elbo = evaluate.estimate(terms["elbo"])
    size = sum(path.stat().st_size for path in folder.glob("*.npy"))
    print(
        f"files of {size / 1e6:.0f} MB: {len(dataset.train.images)} training, {elbo.n} "
        f"test images, {int(state.step)} steps; chunks of at most "
        f"{placement.CHUNK_BYTES / 1e6:.0f} MB"
    )
    for kind in KINDS:
        print(
            f"  {kind}: {before[kind] / 1e6:.0f} MB before, at most "
            f"{watch.most[kind] / 1e6:.0f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="See the module's docstring.")
    parser.add_argument("--config", default="mnist_mlp")
    parser.add_argument("--limit", type=int, default=0, help="training images; 0: all")
    parser.add_argument("--rounds", type=int, default=5, help="0: memory only")
    parser.add_argument("--gigabytes", type=float, default=0.0, help="0: speed only")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ["XDG_CACHE_HOME"] = name  # for sums of files that will be gone
        if args.gigabytes:  # first, while the process has held nothing
            (folder / "large").mkdir()
            memory(args.gigabytes, folder / "large")
        if args.rounds:
            (folder / "small").mkdir()
            speed(args.config, args.limit, args.rounds, folder / "small")


if __name__ == "__main__":
    main()
