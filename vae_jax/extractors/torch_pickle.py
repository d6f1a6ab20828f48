"""Pickles by ``torch.save``, run without torch and without trust.

A pickle is a program that may call anything. Here it may ask for tensors: its
operations are looked through before it runs, and no names but those of tensors mean
anything, all of them something harmless of ours.
"""

import io
import math
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from vae_jax.data import pickles

# All that torch's writers use, under Python 2 too: plain values, containers, the memo,
# and calls of what find_class admits. None of them makes instances of classes.
OPERATIONS = frozenset(
    "PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINUNICODE "
    "BINSTRING SHORT_BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST "
    "APPEND APPENDS EMPTY_DICT SETITEM SETITEMS BINPUT LONG_BINPUT BINGET LONG_BINGET "
    "GLOBAL REDUCE BUILD BINPERSID".split()
)


class Storage(NamedTuple):
    """Numbers in a row that tensors look at; they are elsewhere in the file."""

    dtype: np.dtype
    key: str
    count: int


class Tensor(NamedTuple):
    """Which numbers of a storage a tensor has; strides and offset count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Kind(NamedTuple):
    """Stands for one of torch's classes of storages."""

    dtype: np.dtype


class _Call(NamedTuple):
    """Stands for a function of torch's.

    No function itself, as a pickle can set attributes of what it names; a tuple has
    none to set.
    """

    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def run(stream: io.BufferedIOBase) -> Any:
    """What the pickle at the stream's position makes; leaves the stream behind it.

    Tensors come as ``Tensor``, and their numbers not at all.

    Raises:
        ValueError: if the pickle is damaged, or asks for anything but tensors.
    """
    start = stream.tell()
    try:
        for operation in pickles.operations(stream):
            if operation not in OPERATIONS:
                raise ValueError(f"the pickle operation {operation}")
        size = stream.tell() - start
        stream.seek(start)
        return _Unpickler(io.BytesIO(stream.read(size))).load()
    except ValueError:
        raise
    except Exception as error:  # of any kind, when operations do not fit together
        reason = str(error) or type(error).__name__
        raise ValueError(f"a damaged pickle: {reason}") from error


class _Unpickler(pickle._Unpickler):
    """Python's own, as that in C dies of deep tuples that are keys: it hashes them."""

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict:
            raise ValueError("a damaged pickle: items of what is no dict")
        pairs = zip(items[::2], items[1::2], strict=True)
        self.stack[-1].update(_named(pairs))

    def load_build(self) -> None:
        self.stack.pop()  # attributes, of which no tensor needs any
        if type(self.stack[-1]) is not dict:
            raise ValueError("a damaged pickle: attributes of what is no dict")

    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.BUILD[0]] = load_build

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise ValueError(f"a pickle that asks for {module}.{name}")
        return ADMITTED[module, name]

    def persistent_load(self, pid: Any) -> Storage:
        match pid:
            case ("storage", _Kind(dtype), str(key), str(), int(count)) if (
                0 <= count < 1 << 63
            ):
                return Storage(dtype, key, count)
            # Before torch 1.6 a sixth says whether it is a part of another storage.
            case ("storage", _Kind(), str(), str(), int(), None):
                return self.persistent_load(pid[:5])
        raise ValueError("a reference to something that is no storage of its own")


def _rebuild_tensor(*arguments: Any) -> Tensor:
    """The tensor of these, without what follows them: gradients, hooks, metadata."""
    match arguments:
        case (Storage() as storage, int(offset), tuple(shape), tuple(strides), *_):
            numbers = (offset, *shape, *strides)
            if all(type(n) is int and n >= 0 for n in numbers):
                _require_inside(storage, offset, shape, strides)
                return Tensor(storage, offset, shape, strides)
    raise ValueError("a tensor that is not made of a storage and its numbers")


def _require_inside(
    storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    if len(shape) != len(strides) or len(shape) > 32:  # numpy 2 goes to 64
        raise ValueError(f"a tensor of {len(shape)} sizes and {len(strides)} strides")
    size = math.prod(shape)
    steps = zip(shape, strides, strict=True)
    last = (
        offset + sum((length - 1) * stride for length, stride in steps) if size else 0
    )
    # More numbers than there are, with strides of 0, would be memory that a few bytes
    # ask for.
    if size > storage.count or (size and last >= storage.count):
        raise ValueError(
            f"a tensor of {size} numbers, the last at {last}, in a storage of "
            f"{storage.count}"
        )


def _named(pairs: Any = ()) -> dict[str, Any]:
    pairs = [(key, value) for key, value in pairs]
    for key, _ in pairs:
        if type(key) is not str:
            raise ValueError(f"a dict with a key of type {type(key).__name__}")
    return dict(pairs)


def _rebuild_parameter(data: Tensor, *_: Any) -> Tensor:
    return data


_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
ADMITTED = {
    ("collections", "OrderedDict"): _Call(_named),
    ("torch._utils", "_rebuild_tensor_v2"): _Call(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): _Call(_rebuild_parameter),
} | {("torch", name): _Kind(np.dtype(dtype)) for name, dtype in _STORAGES.items()}
