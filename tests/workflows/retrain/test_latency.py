"""Latency of champion and challenger."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.retrain.nights import Nights, load, write_config


@pytest.mark.slow
def test_a_challenger_that_is_too_slow_is_rejected(
    nights: Nights, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.workflows.retrain import comparison

    write_config(nights, source[1]["run"], retrain={"when": "always", "promote": {"max_latency_ratio": 1.5}})
    nights.night()
    monkeypatch.setattr(comparison, "latencies", lambda *_: [10.0, 16.0])
    result = nights.night()
    assert result["decision"] == "rejected"
    assert "max_latency_ratio" in result["reason"]
    assert result["latency"] == {"champion_ms": 10.0, "challenger_ms": 16.0, "ratio": 1.6}
    monkeypatch.undo()
    assert all(milliseconds > 0 for milliseconds in comparison.latencies(*[load(nights, "nightly")] * 2))
