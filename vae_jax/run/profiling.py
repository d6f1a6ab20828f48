"""``--profile``: where the time of a training step goes."""

import collections
import contextlib
import pathlib
import shlex
import shutil
import time
from collections.abc import Iterator

from vae_jax import experiment, files, hotspots, profiler
from vae_jax.run.session import dispensable

LOGGER = experiment.LOGGER
FOLDER = "profile"
PIECE = 6  # of a stage: the first compiles, and each may have twice the steps


class Profile:
    """Looks at a few steps of every stage, if that is wanted."""

    def __init__(self, folder: pathlib.Path, wanted: bool):
        self._folder, self._wanted = folder / FOLDER, wanted
        self._pieces: collections.Counter[int] = collections.Counter()

    @contextlib.contextmanager
    def around(self, stage: int, done: int, steps: int) -> Iterator[None]:
        """Around a piece of training after ``done`` steps: traces it if it is its turn.

        Training does not notice: the same compiled function takes the same steps.
        """
        self._pieces[stage] += 1
        is_due = self._wanted and self._pieces[stage] == PIECE
        trace = self._begun(done) if is_due else None
        began = time.perf_counter()
        try:
            yield
        except BaseException:
            if trace:
                trace.abandon()
            raise
        if trace:
            with dispensable():
                self._write(trace, done, steps, time.perf_counter() - began)

    def end(self) -> None:
        """Says so if that was wanted and no stage was long enough."""
        if self._wanted and max(self._pieces.values(), default=0) < PIECE:
            LOGGER.warning("--profile: training was too short for a trace of steps")

    def _begun(self, done: int) -> profiler.Trace | None:
        with dispensable():
            files.make_folder(self._folder)
            for left in self._folder.glob(".step_*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            trace = profiler.Trace(self._folder, f"step_{done + 1}")
            trace.start()
            return trace

    def _write(
        self, trace: profiler.Trace, done: int, steps: int, seconds: float
    ) -> None:
        trace.stop()
        costs = profiler.costs(trace.path, "run_steps")
        which = f"steps {done + 1} to {done + steps}"
        if not costs:
            LOGGER.info("profile of %s: %s, without operations", which, trace.path)
            return
        text = f"profile of {which}: {hotspots.table(costs, steps, seconds)}"
        path = self._folder / f"{trace.path.name}.txt"
        files.write_text(path, f"{text}\n")
        where = shlex.quote(str(self._folder))
        LOGGER.info("%s\nmore: tensorboard --logdir=%s", text, where)
