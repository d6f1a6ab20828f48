"""Each side in a process of its own, which computes only while it is asked to.

So thread pools do not compete, and peak memory and time to the first step are those of
one side alone.
"""

import importlib
import os
import pathlib
import pickle
import resource
import subprocess
import sys
import time
import traceback
from typing import Any


class Worker:
    """An object of another process: ``Side(**arguments)`` of a module.

    Args:
        module: that has ``Side``, imported there and only there.
        python: the interpreter; None is this one.
        environment: variables that are set there.
        **arguments: of ``Side``.
    """

    def __init__(
        self, module: str, python: str | None, environment: dict[str, str], **arguments
    ):
        self.module, self.began = module, time.monotonic()
        self._process = subprocess.Popen(
            [python or sys.executable, "-m", "benchmarks.workers"],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._send((module, arguments))

    def _send(self, message: Any) -> None:
        pickle.dump(message, self._process.stdin)
        self._process.stdin.flush()

    def ask(self, method: str, *arguments: Any) -> Any:
        """What a method of the object returns.

        Raises:
            RuntimeError: if it raised, or its process ended.
        """
        try:
            self._send((method, arguments))
            fine, answer = pickle.load(self._process.stdout)
        except (EOFError, OSError) as error:
            raise RuntimeError(f"{self.module}: its process ended") from error
        if not fine:
            raise RuntimeError(f"{self.module}: {answer}")
        return answer

    def first_step(self) -> float:
        """Seconds from the start of the process to the end of its first step."""
        self.ask("steps", 1)
        return time.monotonic() - self.began

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        try:
            self._process.communicate(timeout=30)  # the end of its input ends it
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve() -> None:
    """Answers until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    module, arguments = pickle.load(sys.stdin.buffer)
    side = None
    while True:
        try:
            method, given = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            if side is None:
                side = importlib.import_module(module).Side(**arguments)
            answer = True, getattr(side, method)(*given)
        except Exception as error:
            answer = False, traceback.format_exception_only(error)[-1].strip()
        pickle.dump(answer, answers)
        answers.flush()


def host_peak_bytes() -> int:
    """The most memory that this process ever had."""
    status = pathlib.Path("/proc/self/status")
    if status.is_file():  # unlike getrusage, does not inherit the parent's
        line = next(x for x in status.read_text().splitlines() if "VmHWM" in x)
        return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    serve()
