"""Reading into the array that keeps the bytes."""

import io
import tracemalloc

import jax
import numpy as np
import pytest

from vae_jax.data import streams

CONTENT = np.random.default_rng(0).integers(0, 256, 3_000_001, dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 1, streams.CHUNK, 3_000_000, 3_000_001])
def test_as_many_bytes_as_asked_for_are_read_and_no_more(count):
    stream = io.BytesIO(CONTENT.tobytes())
    found = streams.read_up_to(stream, count)
    np.testing.assert_array_equal(found, CONTENT[:count])
    assert stream.tell() == count


def test_a_stream_that_ends_early_gives_what_it_has():
    stream = io.BytesIO(CONTENT.tobytes())
    found = streams.read_up_to(stream, 10**9)
    np.testing.assert_array_equal(found, CONTENT)


def test_a_large_file_is_held_once(tmp_path):
    (tmp_path / "file").write_bytes(bytes(20 * streams.CHUNK))
    with open(tmp_path / "file", "rb") as stream:
        tracemalloc.start()
        found = streams.read_up_to(stream, 20 * streams.CHUNK)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert found.nbytes == 20 * streams.CHUNK
    assert peak < 22 * streams.CHUNK


def test_what_was_read_is_used_by_the_cpu_in_place_and_cannot_be_changed():
    found = streams.read_up_to(io.BytesIO(CONTENT.tobytes()), len(CONTENT))
    on_device = jax.device_put(found, jax.devices("cpu")[0])
    assert on_device.unsafe_buffer_pointer() == found.ctypes.data
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1
