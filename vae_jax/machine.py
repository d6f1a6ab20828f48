"""What of this machine the process may use: cores, memory, open files."""

import contextlib
import os
import pathlib
import resource
from collections.abc import Iterator

GROUPS = pathlib.Path("/proc/self/cgroup")  # those of Linux that hold this process
LIMITS = pathlib.Path("/sys/fs/cgroup")


def cores() -> int:
    """Those that this process may use, where the system tells; else all that it has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory(groups: pathlib.Path = GROUPS, limits: pathlib.Path = LIMITS) -> int:
    """Bytes of the machine, or fewer where a container or a job is held to fewer."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in _limits_of_memory(groups, limits):
        with contextlib.suppress(OSError, ValueError):  # no such file; "max"
            there = min(there, int(file.read_text()))
    return there


def open_more_files(num: int) -> None:
    """Lets the process have so many more files open at once, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    more = soft + num if hard == resource.RLIM_INFINITY else min(soft + num, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS allows less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))


def _limits_of_memory(
    groups: pathlib.Path, limits: pathlib.Path
) -> Iterator[pathlib.Path]:
    """Files that may limit it, of both versions of control groups.

    A group is held to the limits of all around it, and in a container its own folder
    may not be there under the name that it has outside.
    """
    lines = []
    with contextlib.suppress(OSError):  # not on macOS
        lines = groups.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = limits, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = limits / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = root / path.lstrip("/")
        yield from (at / name for at in (own, *own.parents) if at.is_relative_to(root))
