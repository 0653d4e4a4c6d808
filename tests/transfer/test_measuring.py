"""Measurements for `auto`."""

from __future__ import annotations

import itertools
from typing import Any

import pytest


def test_measuring_counts_where_the_work_is_and_turns_a_multiple_into_work(cached: Any) -> None:
    from transfercli.transfer.measuring import measure

    measured = measure(cached.stages(cached.classifier()), "3x")
    assert measured.budget == pytest.approx(3 * measured.probe_seconds)
    assert measured.images_per_class == 18
    assert (measured.images, measured.validation, measured.batches) == (120, 30, 4)
    shares = list(measured.shares.values())
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0
    assert measure(cached.stages(cached.classifier()), 5).budget == 5.0


def test_a_budget_in_multiples_of_the_probe_plans_the_same_whatever_the_clock_says(
    cached: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loaded machine is one whose clock runs on between any two readings."""
    from transfercli.transfer import measuring
    from transfercli.transfer.auto import phases_within_budget

    builder = cached.stages(cached.classifier())
    idle = measuring.measure(builder, "3x")
    monkeypatch.setattr(measuring.time, "perf_counter", itertools.count(0.0, 100.0).__next__)
    loaded = measuring.measure(builder, "3x")
    assert loaded == idle
    assert phases_within_budget(loaded, 20, 1e-3, refit=True) == phases_within_budget(idle, 20, 1e-3, refit=True)
    assert measuring.measure(builder, 30).batch_seconds == 100.0  # seconds are measured
