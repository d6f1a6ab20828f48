"""Files as ``torch.save`` writes them and as it never would, made without torch.

``torch_zip.pth`` and ``torch_sequence.pth`` in this folder are torch 2.13.0's own::

    import torch
    from torch.nn import Parameter
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    state = torch.nn.Linear(2, 1).double().state_dict()  # for the metadata it carries
    state["weight"].copy_(torch.tensor([[0.5, -2.0]]))
    state["bias"].fill_(3.25)
    state |= {
        "whole": base, "turned": base.T, "part": base[1:, ::2], "one": base[2, 3],
        "parameter": Parameter(torch.tensor([1.5])),
        "half": torch.tensor([1.0, -0.5], dtype=torch.float16),
        "count": torch.tensor(7), "flags": torch.tensor([True, False]),
        "bytes": torch.tensor([0, 255], dtype=torch.uint8), "none": torch.empty(0, 3),
    }
    torch.save(state, "torch_zip.pth")
    torch.save(state, "torch_sequence.pth", _use_new_zipfile_serialization=False)
"""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}


class Part(NamedTuple):
    """A tensor as a pickle tells it: a view of some numbers, which may be a lie."""

    key: str
    numbers: np.ndarray
    offset: int = 0
    shape: tuple | None = None  # those of the numbers
    strides: tuple | None = None
    count: int | None = None  # of the storage, as the pickle has it


class _Storage(NamedTuple):
    key: str
    kind: type
    count: int


def _torch():
    """What of torch its pickles name."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*arguments):
        pass

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in "FloatStorage", "LongStorage", "BFloat16Storage":
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    return torch, utils


TORCH, UTILS = _torch()
KINDS = {"float32": TORCH.FloatStorage, "int64": TORCH.LongStorage}


class _Pickler(pickle.Pickler):
    def __init__(self, stream, sequence):
        super().__init__(stream, protocol=2)
        self.sequence = sequence

    def persistent_id(self, thing):
        if isinstance(thing, _Storage):
            pid = ("storage", thing.kind, thing.key, "cpu", thing.count)
            return (*pid, None) if self.sequence else pid
        return None

    def reducer_override(self, thing):
        if not isinstance(thing, _Tensor):
            return NotImplemented
        return UTILS._rebuild_tensor_v2, thing.arguments


class _Tensor:
    def __init__(self, part):
        numbers = part.numbers
        shape = numbers.shape if part.shape is None else part.shape
        strides = part.strides
        if strides is None:
            strides = tuple(s // numbers.itemsize for s in numbers.strides)
        count = numbers.size if part.count is None else part.count
        storage = _Storage(part.key, KINDS[str(numbers.dtype)], count)
        hooks = OrderedDict()
        self.arguments = (storage, part.offset, shape, strides, False, hooks)


def pickled(thing, sequence=False):
    """Of parts, or of anything else, as torch's pickler would do it."""
    if isinstance(thing, dict):
        items = thing.items()
        thing = OrderedDict(
            (name, _Tensor(value) if isinstance(value, Part) else value)
            for name, value in items
        )
    stream, modules = io.BytesIO(), {"torch": TORCH, "torch._utils": UTILS}
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        _Pickler(stream, sequence).dump(thing)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return stream.getvalue()


def numbers_of(parts):
    return {p.key: p.numbers.tobytes() for p in parts.values() if isinstance(p, Part)}


def as_zip(parts, content=None, members=None, compression=zipfile.ZIP_STORED):
    """An archive of parts; ``content`` and ``members`` replace what it should have."""
    wanted = {"x/data.pkl": pickled(parts) if content is None else content}
    wanted["x/byteorder"] = b"little"
    wanted |= {f"x/data/{key}": data for key, data in numbers_of(parts).items()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in (wanted | (members or {})).items():
            if data is not None:
                archive.writestr(name, data)
    return stream.getvalue()


def as_sequence(
    parts, content=None, magic=MAGIC, version=VERSION, machine=MACHINE, **changes
):
    """A sequence of pickles and numbers; ``keys`` and ``counts`` may be changed."""
    counts = {p.key: p.numbers.size for p in parts.values() if isinstance(p, Part)}
    counts |= changes.get("counts", {})
    pieces = [pickle.dumps(thing, 2) for thing in (magic, version, machine)]
    pieces.append(pickled(parts, sequence=True) if content is None else content)
    pieces.append(pickle.dumps(changes.get("keys", list(counts)), 2))
    for key, data in numbers_of(parts).items():
        pieces += [counts[key].to_bytes(8, "little", signed=True), data]
    return b"".join(pieces)
