"""The sha256 of every file of a folder, and whether they are still the same."""

import errno
import hashlib
import pathlib

SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # of the machine, not of a file
NAME = "SHA256SUMS"  # in the folder itself, as ``sha256sum -c`` reads it


def is_scarce(error: Exception) -> bool:
    """Whether it says that the machine has too little, and nothing of a file."""
    return isinstance(error, OSError) and error.errno in SCARCE


class Damaged(ValueError):
    """Something that is not as it was written."""


def text(folder: pathlib.Path) -> str:
    """The sums of all files of a folder as they stand, for a file called ``NAME``."""
    return "".join(f"{total}  {name}\n" for name, total in _of(folder).items())


def check(folder: pathlib.Path) -> bool:
    """Whether all files are known to be as they were when their sums were noted.

    They are not known to be where sums are missing, of all files or of some.

    Raises:
        Damaged: if a file has changed or is gone.
        PermissionError: if one may not be read.
    """
    try:
        if not folder.is_dir():
            raise Damaged(f"{folder}: damaged: must be a folder")
        if not (folder / NAME).exists():
            return False
        noted, found = _noted(folder), _of(folder)
    except PermissionError:
        raise
    except OSError as error:
        if is_scarce(error):
            raise
        # The disk cannot read it.
        raise Damaged(f"{folder}: damaged: {error}") from error
    for name, total in noted.items():
        if found.get(name) != total:
            what = "has changed" if name in found else "is gone"
            raise Damaged(f"{folder}: damaged: its file {name!r:.99} {what}")
    return found.keys() == noted.keys()


def _noted(folder: pathlib.Path) -> dict[str, str]:
    lines = (folder / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    parts = (line.partition("  ") for line in lines)
    return {name: total for total, _, name in parts}


def _of(folder: pathlib.Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / NAME:
            with path.open("rb") as content:
                total = hashlib.file_digest(content, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = total
    return found
