"""The processor cores of this machine."""

import os


def usable() -> int:
    """Those that this process may use, where the system tells; else all that it has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
