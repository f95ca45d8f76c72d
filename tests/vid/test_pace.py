"""Speed is measured where it is spent, and said once."""

import pytest

from blurvid import pace
from blurvid.pace import Meter, Pace, duration


@pytest.fixture
def clock(monkeypatch):
    """clock(seconds): time passes."""
    now = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])

    def passes(seconds):
        now[0] += seconds

    return passes


def test_waiting_is_told_from_working_and_what_lies_between_is_not_counted(clock):
    def slowly(batches):
        for batch in batches:
            clock(3)
            yield batch

    meter = Meter(["total"])
    for batch in meter.waiting_for(slowly(range(3))):
        with meter.working():
            clock(1)
            meter.add({"total": batch}, images=4)
        assert meter.last_step_s == 4
        clock(100)  # a validation
    assert meter.means() == {"total": 1, "waiting": 0.75, "images_per_s": 1}


def test_a_reset_begins_anew(clock):
    meter = Meter(["total"])
    with meter.working():
        clock(5)
        meter.add({"total": 100.0}, images=1)
    meter.reset()
    with meter.working():
        clock(1)
        meter.add({"total": 1.0}, images=1)
    assert meter.means() == {"total": 1, "waiting": 0, "images_per_s": 1}


def test_the_pace_is_said_once_and_without_the_first_step():
    said = []
    told = Pace(1000, say=said.append)
    for seconds in [60.0, 2.0, 2.0, 2.0, 2.0]:
        told.after_step(seconds)
    assert len(said) == 2
    assert "2 s a step on this CPU: about 33 min for 1,000 steps" in said[0]
    assert "--width" in said[1] and "--steps" in said[1] and "--crop" in said[1]


def test_a_short_training_needs_no_advice():
    said = []
    told = Pace(10, say=said.append)
    for _ in range(5):
        told.after_step(1.0)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (99, "99 s"), (119, "2 min"), (3599, "1 h 0 min"), (11100, "3 h 5 min")],
)
def test_durations_are_said_in_words(seconds, words):
    assert duration(seconds) == words
