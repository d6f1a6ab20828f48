"""InceptionV3's parameters from the published checkpoint, and in files of our own."""

import hashlib
import pathlib
from collections.abc import Iterable, Mapping

import jax
import numpy as np

from vae_jax.contracts import Params
from vae_jax.data import npz
from vae_jax.models import inception

EPSILON = 1e-3  # of every batch norm
DIGEST = "sha256"
CLASSES = 1008
STATISTICS = ("weight", "bias", "running_mean", "running_var")


def from_checkpoint(
    tensors: Mapping[str, np.ndarray], where: str | pathlib.Path
) -> Params:
    """The checkpoint's convolutions, each with its batch norm folded into it.

    Args:
        tensors: by the names of pytorch-fid's network; the unused ones may be missing.
        where: they are from, for errors.

    Raises:
        ValueError: if a tensor is missing, is not the network's, has another shape or
            dtype, is not finite, or is a negative variance.
    """
    shapes = checkpoint_shapes()
    _require_names(tensors, shapes, shapes | unused_shapes(), where)
    for name, shape in shapes.items():
        _require_finite(f"{where}: {name}", tensors[name], shape)
    flat = {}
    for unit in _units():
        kernel, bias = _fold(tensors, unit, where)
        flat |= {f"{unit}.kernel": kernel, f"{unit}.bias": bias}
    return _tree(flat)


def checkpoint_shapes() -> dict[str, tuple[int, ...]]:
    """The checkpoint's tensors that the features come from, by their names."""
    shapes = {}
    for unit, (height, width, before, after) in _units().items():
        shapes[f"{unit}.conv.weight"] = (after, before, height, width)
        shapes |= {f"{unit}.bn.{s}": (after,) for s in STATISTICS}
    return shapes


def unused_shapes() -> dict[str, tuple[int, ...]]:
    """The checkpoint's other tensors: the classifier, and counts of batches seen."""
    classifier = {"fc.weight": (CLASSES, inception.DIMS), "fc.bias": (CLASSES,)}
    return classifier | {f"{unit}.bn.num_batches_tracked": () for unit in _units()}


def to_arrays(params: Params) -> dict[str, np.ndarray]:
    """A flat dict for an npz file, with a digest of all that is in it."""
    leaves = jax.tree.leaves(params)
    arrays = {n: np.asarray(a) for n, a in zip(_leaves(), leaves, strict=True)}
    return arrays | {DIGEST: _digest(arrays)}


def from_npz(path: pathlib.Path) -> Params:
    """What ``to_arrays`` put into the file.

    Raises:
        ValueError: if the file cannot be read, or holds something else.
    """
    arrays = npz.read(path, (*_leaves(), DIGEST))
    digest = arrays.pop(DIGEST)
    for name, shape in _leaves().items():
        _require_finite(f"{path}: {name}", arrays[name], shape)
    if not np.array_equal(digest, _digest(arrays)):
        raise ValueError(f"{path}: must have the digest in it, got another")
    return _tree(arrays)


def _leaves() -> dict[str, tuple[int, ...]]:
    """The shapes of all parameters by their names, in the order of the tree."""
    leaves = jax.tree.leaves_with_path(inception.shapes())
    return {".".join(key.key for key in path): leaf.shape for path, leaf in leaves}


def _units() -> dict[str, tuple[int, ...]]:
    """The shapes of the kernels by the names of their modules."""
    kernel = ".kernel"
    found = {n: s for n, s in _leaves().items() if n.endswith(kernel)}
    return {name.removesuffix(kernel): shape for name, shape in found.items()}


def _tree(flat: Mapping[str, np.ndarray]) -> Params:
    structure = jax.tree.structure(inception.shapes())
    return jax.tree.unflatten(structure, [flat[name] for name in _leaves()])


def _fold(
    tensors: Mapping[str, np.ndarray], unit: str, where: str | pathlib.Path
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias that do what convolution and batch norm did one after the other.

    Scale and shift in float64, so that one rounding is all that it costs.
    """
    scale, shift, mean, variance = (
        tensors[f"{unit}.bn.{s}"].astype(np.float64) for s in STATISTICS
    )
    if variance.min() < 0:
        raise ValueError(
            f"{where}: {unit}.bn.running_var: must be at least 0, got {variance.min()}"
        )
    scale = scale / np.sqrt(variance + EPSILON)
    kernel = tensors[f"{unit}.conv.weight"].transpose(2, 3, 1, 0) * scale
    return kernel.astype(np.float32), (shift - mean * scale).astype(np.float32)


def _require_names(
    names: Iterable[str],
    wanted: Iterable[str],
    known: Iterable[str],
    where: str | pathlib.Path,
) -> None:
    missing, foreign = sorted(set(wanted) - set(names)), sorted(set(names) - set(known))
    if missing or foreign:
        raise ValueError(
            f"{where}: must hold the tensors of pytorch-fid's InceptionV3, got one "
            f"without {_few(missing)} and with {_few(foreign)} beside them"
        )


def _few(names: list[str]) -> str:
    first = ", ".join(names[:3]) or "none"
    return f"{first} and {len(names) - 3} more" if len(names) > 3 else first


def _require_finite(what: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.float32:
        raise ValueError(
            f"{what}: must be float32 {list(shape)}, "
            f"got {array.dtype} {list(array.shape)}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{what}: must be finite, got NaN or infinity")


def _digest(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    digest = hashlib.sha256()
    for name in _leaves():  # in one order, whose shapes are known
        digest.update(np.ascontiguousarray(arrays[name]))
    return np.frombuffer(digest.digest(), np.uint8)
