"""When training pauses."""

import math
import os
import signal
import threading

import pytest

from vae_jax import pacing


class Clock:
    """A clock that a test turns by hand."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(pacing.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def make(every_steps=0, every_minutes=0.0, max_minutes=0.0):
    pace = pacing.Pace(every_steps, every_minutes, max_minutes)
    with pace.timed(1):  # the one that compiles
        pass
    return pace


def take(pace, clock, steps, seconds):
    with pace.timed(steps):
        clock.now += seconds


def test_pieces_double_until_they_take_about_a_second(clock):
    pace, sizes = make(), []
    for _ in range(12):
        size = pace.next_piece(0, left=10_000)
        sizes.append(size)
        take(pace, clock, size, size * 0.004)
    assert sizes[:8] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert set(sizes[8:]) == {128}  # half a second and a bit: left as it is


def test_pieces_shrink_when_they_take_longer(clock):
    pace = make()
    for _ in range(5):
        take(pace, clock, pace.next_piece(0, 100), 0.1)
    assert pace.next_piece(0, 100) == 32
    take(pace, clock, 32, 3.0)
    assert pace.next_piece(0, 100) == 16


@pytest.mark.parametrize(("seconds", "next_one"), [(0.9, 8), (1.1, 4), (9.0, 4)])
def test_a_piece_of_more_than_a_second_is_halved_and_of_less_is_not(
    clock, seconds, next_one
):
    pace = make()
    for _ in range(3):
        take(pace, clock, pace.next_piece(0, 100), 0.1)
    take(pace, clock, pace.next_piece(0, 100), seconds)
    assert pace.next_piece(0, 100) == next_one


def test_one_step_is_the_least_however_long_it_takes(clock):
    pace = make()
    take(pace, clock, 1, 5.0)
    assert pace.next_piece(0, 100) == 1


def test_a_piece_that_something_cut_short_does_not_make_the_next_one_longer(clock):
    pace = make()
    for _ in range(3):
        take(pace, clock, pace.next_piece(0, 100), 0.1)
    for _ in range(5):
        take(pace, clock, pace.next_piece(0, left=3), 0.1)
    assert pace.next_piece(0, 100) == 8


def test_a_piece_ends_at_the_end_of_the_epoch_and_where_a_checkpoint_is_due(clock):
    pace = make(every_steps=10)
    for _ in range(6):
        take(pace, clock, pace.next_piece(0, 100), 0.0)
    assert pace.next_piece(step=7, left=100) == 3
    assert pace.next_piece(step=10, left=4) == 4
    assert pace.next_piece(step=10, left=100) == 10


def test_saving_is_due_at_multiples_of_the_steps(clock):
    assert [make(every_steps=5).save_is_due(step) for step in (4, 5, 6, 10)] == [
        False,
        True,
        False,
        True,
    ]
    assert not make().save_is_due(5)


def test_saving_is_due_so_many_minutes_after_the_last_time(clock):
    pace = make(every_minutes=2.0)
    clock.now += 119
    assert not pace.save_is_due(1)
    clock.now += 1
    assert pace.save_is_due(1)
    pace.was_saved()
    assert not pace.save_is_due(1)


def test_the_time_limit_is_a_reason_to_stop_and_no_failure(clock):
    pace = make(max_minutes=0.5)
    assert pace.reason_to_stop() is None
    clock.now += 30
    assert pace.reason_to_stop() == "train.max_minutes=0.5 are over"
    assert pace.exit_code() == 0
    clock.now += 1e6
    assert make().reason_to_stop() is None


def test_the_rate_of_an_epoch_counts_the_time_of_its_pieces_alone(clock):
    pace = make()
    take(pace, clock, 10, 2.0)
    clock.now += 50  # evaluation, checkpoints
    take(pace, clock, 10, 2.0)
    assert (pace.epoch_rate(), pace.epoch_seconds) == (5.0, 4.0)
    pace.start_epoch()
    assert math.isnan(pace.epoch_rate())


@pytest.mark.parametrize("number", pacing.SIGNALS)
def test_the_first_signal_is_noted_and_the_second_acts(number, capfd):
    acted = []
    earlier = signal.signal(number, lambda *_: acted.append(1))
    try:
        with pacing.pace(0, 0.0, 0.0) as pace:
            os.kill(os.getpid(), number)
            assert pace.reason_to_stop() == signal.Signals(number).name
            assert pace.exit_code() == 128 + number
            assert not acted
            name = signal.Signals(number).name
            assert f"{name}: saves and ends; once more ends" in capfd.readouterr().err
            os.kill(os.getpid(), number)
            assert acted == [1]
        os.kill(os.getpid(), number)
        assert acted == [1, 1]
    finally:
        signal.signal(number, earlier)


def test_the_piece_that_compiles_is_not_timed(clock):
    pace = pacing.Pace(0, 0.0, 0.0)
    take(pace, clock, 1, 60.0)
    assert (pace.epoch_steps, pace.epoch_seconds) == (0, 0.0)
    take(pace, clock, 1, 0.1)
    assert pace.epoch_rate() == pytest.approx(10.0)


def test_a_new_stage_begins_with_a_piece_that_compiles_and_is_short(clock):
    pace = pacing.Pace(0, 0.0, 0.0)
    for _ in range(4):
        take(pace, clock, pace.next_piece(0, 100), 0.1)
    assert pace.next_piece(0, 100) == 8
    timed = pace.epoch_steps
    pace.start_stage()
    assert pace.next_piece(0, 100) == 1
    take(pace, clock, 1, 60.0)
    assert pace.epoch_steps == timed


def test_a_signal_that_the_program_shall_ignore_stays_ignored():
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pacing.pace(0, 0.0, 0.0) as pace:
            os.kill(os.getpid(), signal.SIGINT)
            assert pace.reason_to_stop() is None
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_outside_the_main_thread_signals_are_left_alone():
    reasons = []

    def work():
        with pacing.pace(0, 0.0, 0.0) as pace:
            reasons.append(pace.reason_to_stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert reasons == [None]
