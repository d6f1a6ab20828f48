"""The tensors of a file by ``torch.save``, without torch and without its trust.

Both formats are read: the zip archive of torch 1.6 and later, and before it the
sequence of pickles, which the size of the published Inception weights says they have.
"""

import io
import pathlib
import zipfile
from typing import Any

import numpy as np

from vae_jax.data import npz, streams
from vae_jax.extractors import torch_pickle
from vae_jax.extractors.torch_pickle import Storage, Tensor

MAX_PICKLE = 16 << 20  # bytes; 566 tensors take 90 kB
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
UNREADABLE = (ValueError, RuntimeError, *npz.NOT_WHOLE)  # RuntimeError: a password


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict by their names, of the file's dtypes, read-only.

    Raises:
        ValueError: if the file cannot be read, is damaged, or holds anything but a dict
            of tensors.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            zipped = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            read_format = _read_zip if zipped else _read_sequence
            tensors, contents = read_format(file, size)
            return {n: _view(t, contents[t.storage.key]) for n, t in tensors.items()}
    except UNREADABLE as error:
        raise ValueError(f"{path}: must hold a dict of tensors, got {error}") from error


def _read_zip(file: io.BufferedIOBase, size: int) -> tuple[dict, dict]:
    """An archive of the pickle and of each storage's numbers."""
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        roots = [n.removesuffix("data.pkl") for n in names if n.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError(f"a zip archive with {len(roots)} data.pkl")
        (root,) = roots
        if f"{root}byteorder" in names:
            order = _member(archive, f"{root}byteorder", 64).tobytes()
            if order != b"little":
                raise ValueError(f"the byte order {order!r}, not little")
        pickled = _member(archive, f"{root}data.pkl", min(size, MAX_PICKLE)).tobytes()
        tensors = _tensors(torch_pickle.run(io.BytesIO(pickled)))
        contents = {}
        for key, storage in _storages(tensors).items():
            limit = min(size, _num_bytes(storage))
            found = _member(archive, f"{root}data/{key}", limit)
            contents[key] = _numbers(storage, found)
        return tensors, contents


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> np.ndarray:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"a zip archive without {name}") from None
    # torch does not compress, and what is not compressed cannot grow.
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} compressed")
    if info.file_size > limit:
        raise ValueError(f"{info.file_size} bytes in {name}, more than {limit}")
    with archive.open(info) as stream:
        return streams.read_up_to(stream, info.file_size)


def _read_sequence(file: io.BufferedIOBase, size: int) -> tuple[dict, dict]:
    """Magic number, version, machine, object and keys as pickles; then the numbers."""
    if torch_pickle.run(file) != MAGIC:
        raise ValueError("a pickle that is not torch's")
    if (version := torch_pickle.run(file)) != VERSION:
        said = version if isinstance(version, int) else type(version).__name__
        raise ValueError(f"version {said}, not {VERSION}")
    machine = torch_pickle.run(file)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise ValueError("numbers of a machine that is not little-endian")
    tensors = _tensors(torch_pickle.run(file))
    storages, keys = _storages(tensors), torch_pickle.run(file)
    texts = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not texts or sorted(keys) != sorted(storages):
        raise ValueError("other storages than those of its tensors")
    contents = {}
    for key in keys:
        storage = storages[key]
        if (count := file.read(8)) != storage.count.to_bytes(8, "little"):
            got = int.from_bytes(count, "little", signed=True)
            raise ValueError(f"{got} numbers in storage {key}, not {storage.count}")
        limit = min(size - file.tell(), _num_bytes(storage))
        contents[key] = _numbers(storage, streams.read_up_to(file, limit))
    if left := size - file.tell():
        raise ValueError(f"{left} bytes too many")
    return tensors, contents


def _tensors(found: Any) -> dict[str, Tensor]:
    if not isinstance(found, dict):
        raise ValueError(f"a pickle of {type(found).__name__}")
    for name, value in found.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{type(value).__name__} under {name[:80]!r}")
    return found


def _storages(tensors: dict[str, Tensor]) -> dict[str, Storage]:
    storages = {}
    for tensor in tensors.values():
        key = tensor.storage.key
        if storages.setdefault(key, tensor.storage) != tensor.storage:
            raise ValueError(f"storage {key} in two sizes or types")
    return storages


def _num_bytes(storage: Storage) -> int:
    return storage.count * storage.dtype.itemsize


def _numbers(storage: Storage, found: np.ndarray) -> np.ndarray:
    if len(found) != _num_bytes(storage):
        raise ValueError(
            f"{len(found)} bytes in storage {storage.key}, not {_num_bytes(storage)}"
        )
    return found.view(storage.dtype)


def _view(tensor: Tensor, numbers: np.ndarray) -> np.ndarray:
    if 0 in tensor.shape:
        return np.empty(tensor.shape, numbers.dtype)
    width = numbers.itemsize
    # The stride of a single row means nothing, and may be any number.
    steps = zip(tensor.shape, tensor.strides, strict=True)
    strides = tuple(s * width if length > 1 else 0 for length, s in steps)
    offset = tensor.offset * width
    return np.ndarray(tensor.shape, numbers.dtype, numbers, offset, strides)
