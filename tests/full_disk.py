"""A run on a disk that fills up: a mount of its own, in a process that may have one.

Called by test_run_failures.py with a stopped run and one that was never stopped.
"""

import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import conftest  # noqa: F401
from test_run_failures import FULL, assert_same, assert_sound, run

import main

SIZE = 2_000_000
# Bytes that are free: too few for any file, for a checkpoint, for all pictures.
ROOMS = (0, 30_000, 250_000)


def free(disk):
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def check(disk, part, whole, room):
    folder, filling = disk / "run", disk / "filling"
    shutil.copytree(part, folder)
    filling.write_bytes(bytes(max(0, free(disk) - room)))
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        assert run(folder) == 1
    print(said.getvalue())
    assert f": cannot be written: {FULL}" in said.getvalue()
    assert_sound(folder)
    steps = {int(path.name) for path in (folder / "checkpoints").iterdir()}
    assert steps <= {4, 5, 6}
    assert len(steps) >= 2
    filling.unlink()
    assert run(folder) == 0
    assert_same(folder, whole)
    shutil.rmtree(folder)


def check_read_only(disk, part, whole):
    folder = disk / "run"
    shutil.copytree(part, folder)
    remount = ["mount", "-o", "remount"]
    subprocess.run([*remount, "-o", "ro", str(disk)], check=True)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        assert run(folder) == 2  # another --workdir would do
        for mode, code in (("eval", 2), ("sample", 1)):
            args = [f"--mode={mode}", f"--workdir={folder}"]
            assert main.main(["main.py", *args]) == code
    print(said.getvalue())
    assert said.getvalue().count("Read-only file system") == 3
    assert_sound(folder)
    subprocess.run([*remount, "-o", "rw", str(disk)], check=True)
    assert run(folder) == 0
    assert_same(folder, whole)
    shutil.rmtree(folder)


def check_all(part, whole):
    os.chdir(main.ROOT)
    disk = pathlib.Path(tempfile.mkdtemp())
    options = ["-t", "tmpfs", "-o", f"size={SIZE}"]
    subprocess.run(["mount", *options, "none", str(disk)], check=True)
    try:
        for room in ROOMS:
            check(disk, part, whole, room)
        check_read_only(disk, part, whole)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
        disk.rmdir()
    print("all is as it should be")


if __name__ == "__main__":
    check_all(*map(pathlib.Path, sys.argv[1:]))
