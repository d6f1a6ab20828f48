"""Devices that share the work on a batch: a mesh of one axis, and what is where on it.

With one device it is a mesh of one, and nothing else is different.
"""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

AXIS = "batch"


def of(devices: Sequence[jax.Device]) -> Mesh:
    return Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))


def under(tree: PyTree) -> Mesh | None:
    """The mesh that arrays are on, if it is one of several devices."""
    sharding = getattr(jax.tree.leaves(tree)[0], "sharding", None)
    several = isinstance(sharding, NamedSharding) and sharding.mesh.size > 1
    return sharding.mesh if several else None


def copied(tree: PyTree, mesh: Mesh) -> PyTree:
    """Arrays whole on every device; each process that has some of these gives them."""
    return _put(tree, NamedSharding(mesh, PartitionSpec()))


def shared(tree: PyTree, mesh: Mesh, axis: int) -> PyTree:
    """Arrays cut up along an axis, each device with its part; else like ``copied``."""
    return _put(tree, NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS)))


def viewed(tree: PyTree, mesh: Mesh) -> PyTree:
    """What ``copied`` made, seen as if made for another mesh: nothing is moved.

    So each process can have its copies to itself, or all have theirs together.
    """
    sharding = NamedSharding(mesh, PartitionSpec())

    def view(array):
        own = [shard.data for shard in array.addressable_shards]
        return jax.make_array_from_single_device_arrays(array.shape, sharding, own)

    return jax.tree.map(view, tree)


def _put(tree: PyTree, sharding: NamedSharding) -> PyTree:
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def put(array):
        array = np.asarray(array)
        return jax.make_array_from_callback(array.shape, sharding, array.__getitem__)

    return jax.tree.map(put, tree)
