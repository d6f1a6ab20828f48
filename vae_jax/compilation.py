"""Compiled functions, kept on disk, so that the next process begins at once.

The cache is JAX's own. It trusts its files, though: some of their formats carry no sum
at all, a file that cannot be read stays and is complained of at every start, and its
key leaves out the number of cores, on which compiled functions for the CPU depend down
to their last bits. So its folder is one of each kind of machine here, and of files with
a sha256: one that has changed counts as absent, and is written anew.
"""

import contextlib
import functools
import hashlib
import logging
import os
import pathlib
import platform

import jax
from etils import epath

from vae_jax import files, machine
from vae_jax.data import cache

LOGGER = logging.getLogger("vae_jax")
MAX_BYTES = 1 << 29  # of all files; a function takes 5 kB to 1 MB
SCHEME = "vae-jax-checked://"
SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,  # small ones add up, too
    "jax_compilation_cache_max_size": -1,  # that limit needs locks; ``trim`` is ours
    "jax_persistent_cache_enable_xla_caches": "none",  # files that are not checked
}


def keep(wanted: bool) -> None:
    """Lets JAX keep what it compiles in ``$XDG_CACHE_HOME/vae_jax/xla``, or nothing.

    Where ``JAX_COMPILATION_CACHE_DIR`` is set, the cache is JAX's there, unchecked.
    A folder that cannot be written to is said once, and does no harm.
    """
    if not wanted:
        jax.config.update("jax_enable_compilation_cache", False)
    if not wanted or jax.config.jax_compilation_cache_dir is not None:
        return
    root = cache.path("xla")
    folder = root / kind_of_machine()
    try:
        # Whoever may write there may have this process run code of theirs.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        trim(root, MAX_BYTES)
    except OSError as error:
        _say_once(folder, _reason(error))
        return
    for name, value in SETTINGS.items():
        jax.config.update(name, value)
    jax.config.update("jax_compilation_cache_dir", f"{SCHEME}{folder}")


def kind_of_machine() -> str:
    """A name of this kind of machine: what XLA compiles for the CPU depends on it."""
    told = [platform.processor(), os.environ.get("NPROC"), os.cpu_count()]
    processor = pathlib.Path("/proc/cpuinfo")
    if processor.is_file():
        lines = processor.read_text(errors="replace").splitlines()
        names = "model name", "flags", "CPU part", "Features"
        told += sorted({line for line in lines if line.startswith(names)})
    total = hashlib.sha256(repr(told).encode()).hexdigest()
    return f"{platform.machine()}_{machine.cores()}_cores_{total[:12]}"


def trim(root: pathlib.Path, max_bytes: int) -> None:
    """Deletes the files that were not used for longest, until the rest is that small.

    Other processes may be at work there: what they need and do not find, they compile.
    """
    found = []
    for path in root.rglob("*"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file():
            found.append((status.st_mtime_ns, status.st_size, path))
    excess = sum(size for _, size, _ in found) - max_bytes
    for _, size, path in sorted(found):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= size


@epath.register_path_cls(SCHEME)
class Checked(pathlib.PurePosixPath):
    """A file that begins with the sha256 of the rest: as much of a path as JAX uses.

    JAX makes one for each thing that it looks up or stores, by way of etils, to which
    such kinds of paths can be added.
    """

    @property
    def _path(self) -> pathlib.Path:
        return pathlib.Path("/", *self.parts[1:])  # all but the scheme

    def mkdir(self, **_) -> None:
        """Nothing: ``keep`` has made the folder."""

    @functools.cached_property
    def _content(self) -> bytes | None:
        """What was stored, or None where there is nothing that is as it was stored."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _say_once(self._path.parent, _reason(error))
            return None
        total, content = content[:32], content[32:]
        if total != hashlib.sha256(content).digest():
            _say_once(self._path, "damaged; made anew")
            return None
        return content

    def exists(self) -> bool:
        """Whether it can be read and is whole."""
        return self._content is not None

    def read_bytes(self) -> bytes:
        """What was stored.

        Raises:
            FileNotFoundError: if it does not exist.
        """
        if self._content is None:
            raise FileNotFoundError(f"compilation cache: no {self._path}")
        with contextlib.suppress(OSError):
            os.utime(self._path)  # used now: see ``trim``
        return self._content

    def write_bytes(self, content: bytes) -> None:
        """Stores it whole or not at all; that it cannot be is no error."""
        try:
            with files.replacing(self._path) as temporary:
                temporary.write_bytes(hashlib.sha256(content).digest() + content)
        except OSError as error:
            _say_once(self._path.parent, _reason(error))


@functools.cache
def _say_once(where: pathlib.Path, what: str) -> None:
    """Not for every function: a folder is of no use for all of them alike."""
    LOGGER.warning("compilation cache: %s: %s", where, what)


def _reason(error: OSError) -> str:
    cause = error.__cause__ or error
    return f"{getattr(cause, 'strerror', None) or cause}; done without"
