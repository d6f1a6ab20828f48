"""Where time goes, from events and a text that were made up."""

import pytest

from vae_jax import hotspots
from vae_jax.hotspots import Cost, Event, Origin

TEXT = """
%body.1 (a: f32[2]) -> f32[2] {
  %add_fusion.9 = f32[2]{0} fusion(%a), kind=kLoop, metadata={op_type="add" \
op_name="jit(run_steps)/while/body/update/jit(_where)/select_n" source_line=3}
  %copy.3 = f32[2]{0} copy(%a)
  ROOT dot.12 = f32[2]{0} dot(%copy.3, %copy.3), metadata={op_name="jit(run_steps)/\
while/body/transpose(jvp(Decoder))/pixels/dot_general"}, backend_config={}
}
"""


def test_an_operation_does_not_count_what_is_executed_within_it():
    # The loop takes 10 s; a and b within it 2 and 3 s, and c 1 s of b.
    loop, a, b = Event("loop", 0, 10), Event("a", 0, 2), Event("b", 4, 3)
    line = [Event("c", 5, 1), b, a, loop, Event("a", 10, 5)]
    assert hotspots.own_costs([line]) == {
        "loop": Cost(5, 1),
        "a": Cost(2 + 5, 2),  # the second begins when the loop has ended
        "b": Cost(2, 1),
        "c": Cost(1, 1),
    }


def test_threads_work_beside_each_other():
    lines = [[Event("a", 0, 10)], [Event("a", 1, 2), Event("b", 4, 1)]]
    assert hotspots.own_costs(lines) == {"a": Cost(12, 2), "b": Cost(1, 1)}


@pytest.mark.parametrize(
    ("source", "passed", "place"),
    [
        (
            "jit(f)/while/body/jvp(Encoder)/Dense_0/add",
            "forward",
            "Encoder/Dense_0/add",
        ),
        ("jit(f)/while/body/transpose(jvp(Encoder))/mul", "backward", "Encoder/mul"),
        (
            "jit(f)/transpose(jvp(D))/Conv_1/cond/branch_0_fun/jit(_pad)/pad",
            "backward",
            "D/Conv_1/_pad/pad",
        ),
        (
            "jit(f)/while/body/jvp(jit(_normal))/jit(erf)/mul",
            "forward",
            "_normal/erf/mul",
        ),
        ("jit(f)/while/body/jvp()/sub", "forward", "sub"),
        ("jit(f)/while/body/eval_jaxpr/layer/tanh", "other", "layer/tanh"),  # JAX 0.12
        ("jit(f)/while/body/gather", "other", "gather"),
        ("jit(f)/while", "other", ""),
        ("", "other", ""),
    ],
)
def test_an_origin_says_the_pass_and_the_layer(source, passed, place):
    assert hotspots.origin(source) == Origin(passed, place)


def test_costs_are_summed_by_origin_and_unknown_ones_by_kind():
    noted = hotspots.sources(TEXT)
    assert noted.keys() == {"add_fusion.9", "dot.12"}
    noted["all-reduce.7"] = "jit(f)/jvp(E)/dot_general:jit(f)/transpose(jvp(E))/mul"
    costs = {
        "all-reduce.7": Cost(9, 1),
        "copy.3": Cost(1, 2),
        "copy.14.1": Cost(2, 2),
        "add_fusion.9": Cost(0.5, 1),
        "dot.12": Cost(4, 2),
    }
    assert list(hotspots.by_origin(costs, noted).items()) == [
        (Origin("other", "all-reduce"), Cost(9, 1)),  # of many origins made one
        (Origin("backward", "Decoder/pixels/dot_general"), Cost(4, 2)),
        (Origin("other", "copy"), Cost(3, 4)),
        (Origin("other", "update/_where/select_n"), Cost(0.5, 1)),
    ]


def test_the_text_is_that_of_the_program_that_was_executed():
    other = TEXT.replace("dot.12", "dot.13").replace("pixels", "hidden")
    assert "dot.12" in hotspots.best_text([other, TEXT], ["copy.3", "dot.12"])
    assert hotspots.best_text([], ["dot.12"]) == {}


def test_a_table_has_the_highest_costs_and_the_sum_of_the_others():
    # Two steps of 50 ms. The first part takes 60 ms, further ones 2 ms each: 100 in all
    # with 20 of them, of which 14 are shown.
    first = {Origin("forward", "A/dot"): Cost(0.06, 2)}
    others = {Origin("other", f"b{i}"): Cost(0.002, 4) for i in range(20)}
    lines = hotspots.table(first | others, steps=2, seconds=0.125).splitlines()
    assert lines[0] == "62.5 ms a step, 50 ms of it (80%) in operations"
    assert lines[2].split() == ["60.0%", "30", "1", "forward", "A/dot"]
    assert lines[3].split() == ["2.0%", "1", "2", "other", "b0"]
    assert lines[-1].split() == ["12.0%", "6", "12", "6", "parts", "more"]
    assert len(lines) == 2 + 15 + 1


def test_columns_of_a_slow_step_of_many_operations_stay_apart():
    costs = {Origin("forward", "A/dot"): Cost(1.2345, 12345)}
    lines = hotspots.table(costs, steps=1, seconds=1.5).splitlines()
    assert lines[0] == "1,500 ms a step, 1,234 ms of it (82%) in operations"
    assert lines[2].split() == ["100.0%", "1,234", "12,345", "forward", "A/dot"]
