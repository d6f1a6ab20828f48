"""When training pauses: for signals, for checkpoints, for the display, at the end."""

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PIECE_SECONDS = 1.0  # how long a signal may have to wait


class Pace:
    """Cuts training into pieces of about a second and says when to save or stop."""

    def __init__(self, every_steps: int, every_minutes: float, max_minutes: float):
        self._every_steps = every_steps
        self._every_seconds = every_minutes * 60 or float("inf")
        self._began = self._saved = time.monotonic()
        self._max_minutes = max_minutes
        self.signal: int | None = None  # the one that asked the program to stop
        self.start_stage()
        self.start_epoch()

    def start_stage(self) -> None:
        """Forgets how long a step takes: the next one is of another graph."""
        self._piece = 1
        self._is_first = True

    def start_epoch(self) -> None:
        """Sets the clock of the epoch to zero."""
        self.epoch_steps, self.epoch_seconds = 0, 0.0

    def epoch_rate(self) -> float:
        """Steps a second of this epoch; NaN if nothing of it was timed."""
        return self.epoch_steps / self.epoch_seconds if self.epoch_steps else math.nan

    def next_piece(self, step: int, left: int) -> int:
        """How many of the epoch's ``left`` steps to take in one go after ``step``."""
        if self._every_steps:
            left = min(left, self._every_steps - step % self._every_steps)
        return min(left, self._piece)

    @contextlib.contextmanager
    def timed(self, steps: int) -> Iterator[None]:
        """Around a piece: fits the length of the next one to how long it took.

        Training does not notice: where it is cut does not change its result. The first
        piece of a stage, which compiles the step, is not timed.
        """
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        if self._is_first:
            self._is_first = False
            return
        self.epoch_steps += steps
        self.epoch_seconds += seconds
        if seconds < PIECE_SECONDS / 2 and steps == self._piece:
            self._piece *= 2
        elif seconds > PIECE_SECONDS:
            self._piece = max(1, self._piece // 2)

    def save_is_due(self, step: int) -> bool:
        """Whether a checkpoint shall be written in the middle of an epoch."""
        if time.monotonic() - self._saved >= self._every_seconds:
            return True
        return bool(self._every_steps) and step % self._every_steps == 0

    def was_saved(self) -> None:
        self._saved = time.monotonic()

    def reason_to_stop(self) -> str | None:
        """Why training shall end before its last epoch, if it shall."""
        if self.signal:
            return signal.Signals(self.signal).name
        minutes = (time.monotonic() - self._began) / 60
        if self._max_minutes and minutes >= self._max_minutes:
            return f"train.max_minutes={self._max_minutes:g} are over"
        return None

    def exit_code(self) -> int:
        """What shells expect of a process that a signal ended; 0 without one."""
        return 128 + self.signal if self.signal else 0


@contextlib.contextmanager
def pace(every_steps: int, every_minutes: float, max_minutes: float) -> Iterator[Pace]:
    """A pace that takes note of the first Ctrl-C or SIGTERM; a second acts at once.

    Only the main thread can watch for signals. Elsewhere they act as ever.
    """
    made = Pace(every_steps, every_minutes, max_minutes)
    if threading.current_thread() is not threading.main_thread():
        yield made
        return
    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    heeded = [n for n in SIGNALS if earlier[n] != signal.SIG_IGN]  # as under nohup

    def restore() -> None:
        for number in heeded:
            signal.signal(number, earlier[number])

    def note(number, frame) -> None:
        del frame
        made.signal = number
        restore()
        name = signal.Signals(number).name
        # Not by print or a log, in the middle of which the signal may have come.
        os.write(2, f"\n{name}: saves and ends; once more ends at once\n".encode())

    for number in heeded:
        signal.signal(number, note)
    try:
        yield made
    finally:
        restore()
