"""Measurements for `auto`."""

from __future__ import annotations

from typing import Any

import pytest


def test_measuring_counts_where_the_work_is_and_turns_a_multiple_into_seconds(cached: Any) -> None:
    from transfercli.transfer.measuring import measure

    measured = measure(cached.stages(cached.classifier()), "3x")
    assert measured.budget == pytest.approx(3 * measured.probe_seconds)
    assert measured.images_per_class == 18
    assert measured.batches == 4
    shares = list(measured.shares.values())
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0
    assert measure(cached.stages(cached.classifier()), 5).budget == 5.0
