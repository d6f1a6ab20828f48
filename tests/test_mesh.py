"""Devices that share batches."""

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import mesh

ONE = mesh.of(jax.devices()[:1])


def test_what_is_copied_or_shared_is_the_same_array(key):
    tree = {"x": np.arange(6.0).reshape(2, 3), "key": key}
    copied, shared = mesh.copied(tree, ONE), mesh.shared(tree["x"], ONE, axis=1)
    np.testing.assert_array_equal(copied["x"], tree["x"])
    np.testing.assert_array_equal(shared, tree["x"])
    assert copied["key"] == key
    assert copied["x"].sharding.spec == jax.sharding.PartitionSpec()
    assert shared.sharding.spec == jax.sharding.PartitionSpec(None, mesh.AXIS)


def test_a_view_has_the_memory_of_what_is_viewed():
    copied = mesh.copied(jnp.arange(8.0), ONE)
    viewed = mesh.viewed(copied, ONE)
    assert viewed.unsafe_buffer_pointer() == copied.unsafe_buffer_pointer()


def test_arrays_of_one_device_are_under_no_mesh():
    assert mesh.under({"x": np.zeros(3)}) is None
    assert mesh.under([jnp.zeros(3)]) is None
    assert mesh.under([mesh.copied(jnp.zeros(3), ONE)]) is None
