"""A node of a Ray cluster that dies while it answers: see benchmarks/ray_node_death.py."""

from __future__ import annotations

import pytest

from benchmarks.ray_node_death import trials


@pytest.mark.slow
def test_every_image_is_answered_once_although_a_node_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_worker_niceness", "TRANSFERCLI_CACHE"):
        monkeypatch.setenv(name, "")  # restored afterwards
    for one in trials([0.2, 0.4], 3000):
        assert 0 < one.at_kill < one.total
        assert one.once == one.labels == one.total
