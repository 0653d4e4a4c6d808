"""The stage of a probe."""

from __future__ import annotations

from typing import Any

from transfercli.transfer.strategies import PROBE


def test_a_probe_is_one_step_and_better_than_chance_with_or_without_a_cache(cached: Any, uncached: Any) -> None:
    for world in (cached, uncached):
        world.train(world.classifier(), [PROBE])
        assert (world.progress.epoch, world.progress.best_epoch) == (0, 0)
        assert world.progress.line["val_accuracy"] > 0.5
        assert world.progress.line["learning_rate"] == 0
