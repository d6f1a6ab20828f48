"""Traces of real executions."""

import jax
import jax.numpy as jnp
import pytest

from vae_jax import files, profiler


@jax.jit
def looked_at(x):
    def body(_, x):
        with jax.named_scope("layer"):
            return jnp.tanh(x @ x)

    return jax.lax.fori_loop(0, 3, body, x)


def test_a_trace_knows_what_was_executed_how_often_and_where_it_comes_from(tmp_path):
    x = looked_at(jnp.eye(64)).block_until_ready()
    trace = profiler.Trace(tmp_path, "a")
    trace.start()
    for _ in range(2):
        looked_at(x).block_until_ready()
    jnp.sin(x).block_until_ready()  # of another program
    trace.stop()
    costs = profiler.costs(trace.path, "looked_at")
    times = {origin.place: cost.times for origin, cost in costs.items()}
    # Fused or not, some part of the layer is done 2 * 3 times.
    assert 6 in {n for place, n in times.items() if place.startswith("layer/")}
    assert not [place for place in times if "sin" in place.split("/")]
    assert all(cost.seconds > 0 for cost in costs.values())
    assert list(trace.path.glob("*.xplane.pb"))
    assert [path.name for path in tmp_path.iterdir()] == ["plugins"]


def test_where_programs_cannot_be_shown_costs_are_by_kind(tmp_path, monkeypatch):
    class Executable:
        def hlo_modules(self):
            raise jax.errors.JaxRuntimeError("UNIMPLEMENTED")

    class Backend:
        def live_executables(self):
            return [Executable()]

    x = looked_at(jnp.eye(64)).block_until_ready()
    trace = profiler.Trace(tmp_path, "a")
    trace.start()
    looked_at(x).block_until_ready()
    trace.stop()
    monkeypatch.setattr(profiler.backend, "get_backend", Backend)
    costs = profiler.costs(trace.path, "looked_at")
    assert costs
    assert not [origin for origin in costs if "layer" in origin.place]


def test_traces_of_one_name_are_both_kept(tmp_path):
    for name in ("a", "a_1"):
        trace = profiler.Trace(tmp_path, "a")
        trace.start()
        trace.stop()
        assert trace.path.name == name
        assert trace.path.is_dir()


def test_there_is_one_trace_at_a_time_and_none_that_was_abandoned(tmp_path):
    trace, other = (profiler.Trace(tmp_path, name) for name in "ab")
    trace.start()
    with pytest.raises(files.NotWritten, match="/b: cannot be written: Profile has al"):
        other.start()
    trace.abandon()
    assert not list(tmp_path.iterdir())
    other.start()
    other.abandon()


def test_a_trace_that_cannot_be_put_in_its_place_leaves_nothing(tmp_path):
    (tmp_path / "plugins").touch()
    trace = profiler.Trace(tmp_path, "a")
    trace.start()
    with pytest.raises(files.NotWritten, match=r"/profile/a: cannot be written: "):
        trace.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["plugins"]
