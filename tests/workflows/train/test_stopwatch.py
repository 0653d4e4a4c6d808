"""Seconds a stage."""

from __future__ import annotations

import time

import pytest

from transfercli.workflows.train.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock whose time is the only entry."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_a_stage_inside_another_is_taken_off_the_outer_one(clock: list[float]) -> None:
    stopwatch = Stopwatch(started=0.0)
    with stopwatch("train"):
        clock[0] += 5
        with stopwatch("features"):
            clock[0] += 3
        clock[0] += 2
    clock[0] += 1
    assert stopwatch.all() == {"ingest": 0.0, "features": 3.0, "train": 7.0, "total": 11.0}


def test_a_stage_that_fails_is_counted_too_and_stages_add_up(clock: list[float]) -> None:
    stopwatch = Stopwatch(started=0.0)

    def fail() -> None:
        with stopwatch("ingest"):
            clock[0] += 2
            raise ValueError("damaged")

    for _ in range(2):
        with pytest.raises(ValueError, match="damaged"):
            fail()
    assert stopwatch.all()["ingest"] == 4.0
