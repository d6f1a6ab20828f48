"""Traces of what the device executes, written for other tools and read for a table."""

import contextlib
import os
import pathlib
import shutil

import jax
from jax.extend import backend

from vae_jax import files, hotspots

KEPT = pathlib.Path("plugins", "profile")  # where TensorBoard looks for traces


class Trace:
    """One trace, in a folder of its own below ``folder``: whole, or not there."""

    def __init__(self, folder: pathlib.Path, name: str):
        self.path = files.free_name(folder / KEPT / name)
        self._partial = folder / f".{name}.{os.getpid()}"

    def start(self) -> None:
        """From now on, what is executed is noted.

        Raises:
            NotWritten: if that cannot be, as when another trace is running.
        """
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # would slow down what it looks at
        options.session_id = self.path.name
        with self._naming():
            jax.profiler.start_trace(self._partial, profiler_options=options)

    def stop(self) -> None:
        """Writes what was noted.

        Raises:
            NotWritten: if that cannot be.
        """
        try:
            with self._naming():
                jax.profiler.stop_trace()
                self.path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(self._partial / KEPT / self.path.name, self.path)
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def abandon(self) -> None:
        """Notes nothing more, and leaves nothing behind."""
        with contextlib.suppress(RuntimeError, OSError):
            jax.profiler.stop_trace()
        shutil.rmtree(self._partial, ignore_errors=True)

    @contextlib.contextmanager
    def _naming(self):
        try:
            with files.naming(self.path):
                yield
        except RuntimeError as error:  # JAX's own for all that goes wrong
            text = f"{self.path}: cannot be written: {error}"
            raise files.NotWritten(text) from error


def costs(path: pathlib.Path, program: str) -> dict[hotspots.Origin, hotspots.Cost]:
    """What the operations of a compiled function took in a trace, by their origin.

    Args:
        path: of the trace.
        program: the function's name. This process must have compiled it.
    """
    module = f"jit_{program}"
    lines = [
        [
            hotspots.Event(
                stats["hlo_op"], event.start_ns / 1e9, event.duration_ns / 1e9
            )
            for event in line.events
            if (stats := dict(event.stats)).get("hlo_module") == module
            and "hlo_op" in stats
        ]
        for file in path.glob("*.xplane.pb")
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes
        for line in plane.lines
    ]
    found = hotspots.own_costs(lines)
    modules = (
        compiled
        for executable in backend.get_backend().live_executables()
        for compiled in _modules(executable)
    )
    texts = [compiled.to_string() for compiled in modules if compiled.name == module]
    return hotspots.by_origin(found, hotspots.best_text(texts, found))


def _modules(executable) -> list:
    """What it was compiled from; nothing on devices that cannot say."""
    try:
        return executable.hlo_modules()
    except jax.errors.JaxRuntimeError:
        return []
