"""Writes a set that is too large for memory to files that ``data.name=npy`` reads.

    python -m vae_jax.data.shard --name=folder --path=FOLDER --out=DIR
    python -m vae_jax.data.shard --name=tfds:NAME --image_size=64,64 --out=DIR

A set has the parts that it has with ``data.name=folder`` or ``tfds:NAME``. Images are
read one by one, so any number of them takes little memory.
"""

import argparse
import itertools
import logging
import pathlib
import shutil
import sys
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

from vae_jax import files
from vae_jax.data import counting, folder, tfds_source
from vae_jax.data.dataset import Examples, Wanted
from vae_jax.data.own_npy import LABELS, UNFINISHED

log = logging.getLogger("vae_jax")

SHARD_BYTES = 2**30  # of a file


def main(argv: Sequence[str]) -> int:
    """Writes the files and says how to train on them; 2 for a mistake of the user's."""
    about, *_ = __doc__.split("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m vae_jax.data.shard", description=about
    )
    parser.add_argument("--name", required=True, help="folder or tfds:NAME")
    parser.add_argument("--path", help="folder: where the images are")
    parser.add_argument("--dir", help="tfds: folder that may hold prepared sets")
    parser.add_argument("--image_size", help="H,W; without it, as the images are")
    parser.add_argument("--channels", type=int, choices=(0, 1, 3), default=0)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args(argv)
    shown = logging.StreamHandler(sys.stdout)
    log.addHandler(shown)
    log.setLevel(logging.INFO)
    try:
        wanted = Wanted(
            directory=args.dir,
            path=args.path,
            seed=0,
            image_size=_size(args.image_size),
            channels=args.channels,
            num_images=0,
        )
        write(args.out, examples(args.name, wanted))
    except (ValueError, OSError) as error:
        print(f"shard: {error}", file=sys.stderr)
        return 2
    finally:
        log.removeHandler(shown)
    print(f"To train on it: --config.data.name=npy --config.data.path={args.out}")
    return 0


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    sides = text.split(",")
    if len(sides) != 2 or not all(
        s.isascii() and s.isdigit() and int(s) for s in sides
    ):
        raise ValueError(f"--image_size: must be H,W, two whole numbers, got {text!r}")
    return int(sides[0]), int(sides[1])


def examples(name: str, wanted: Wanted) -> dict[str, Examples]:
    """The parts of a set, one image after the other.

    Raises:
        ValueError: if it is none that can be read so, or is damaged.
        FileNotFoundError: if it is not there.
    """
    if name == "folder":
        return folder.examples(wanted)
    if name.startswith(tfds_source.PREFIX):
        return tfds_source.examples(name, wanted)
    raise ValueError(f"--name: must be folder or tfds:NAME, got {name!r}")


def write(
    out: pathlib.Path, parts: dict[str, Examples], shard_bytes: int = SHARD_BYTES
) -> None:
    """Writes each part to ``out``, in its order, as ``own_npy`` reads it.

    All of it is moved there at the end, or what a mistake or a kill leaves could pass
    for a smaller set.

    Raises:
        ValueError: if the folder holds something, or an image cannot be read.
        OSError: if it cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    unfinished = out / UNFINISHED
    if any(path != unfinished for path in out.iterdir()):
        raise ValueError(f"--out: must be new or empty, got {out}, which holds files")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    try:
        unfinished.mkdir()
        for part, found in parts.items():
            labels = _write_images(unfinished, part, found, shard_bytes)
            if found.labelled:
                path = unfinished / f"{part}{LABELS}.npy"
                with files.naming(path), path.open("wb") as stream:
                    np.save(stream, labels)
        for path in sorted(unfinished.iterdir()):
            path.rename(out / path.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_images(
    folder: pathlib.Path, part: str, found: Examples, shard_bytes: int
) -> Int32[np.ndarray, " N"]:
    """The labels of the images that it has written."""
    each = iter(counting.counted(part, found.each, found.count))
    first, label = next(each)
    each = itertools.chain([(first, label)], each)
    in_each = max(1, shard_bytes // first.size)
    num_files, labels = -(-found.count // in_each), np.zeros(found.count, np.int32)
    for number in range(num_files):
        begin = number * in_each
        count = min(in_each, found.count - begin)
        path = folder / f"{part}-{number:05}-of-{num_files:05}.npy"
        with files.naming(path), path.open("wb") as stream:
            # Of so many that there shall be: no array has to hold them.
            header = {"descr": "|u1", "fortran_order": False}
            header["shape"] = (count, *first.shape)
            np.lib.format.write_array_header_1_0(stream, header)
            for row, (image, label) in enumerate(itertools.islice(each, count), begin):
                stream.write(np.ascontiguousarray(image))
                labels[row] = label
    next(each, None)  # whether that was the end, the source knows
    return labels


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
