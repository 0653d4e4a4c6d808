"""The cache of features: found again, damaged, full, interrupted."""

from __future__ import annotations

import shutil
import sqlite3
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from transfercli.errors import ConfigError
from transfercli.training.phases import Phase
from transfercli.transfer.strategies import PROBE


def test_another_head_or_rate_finds_all_features_and_another_base_none(cached: Any) -> None:
    cached.train(cached.classifier(), [Phase("none", 3, 1e-2)])
    again = cached.train(cached.classifier(hidden=[8]), [Phase("none", 5, 1e-3)])
    assert (again.cache.hits, again.cache.misses) == (120, 0)
    other = cached.classifier()
    other.base.get_layer("conv1").bias.assign(np.full(32, 0.5, "float32"))
    anew = cached.train(other, [Phase("none", 3, 1e-2)])
    assert (anew.cache.hits, anew.cache.misses) == (0, 120)


def test_a_damaged_row_is_computed_again(cached: Any) -> None:
    cached.stages(cached.classifier())(Phase("none", 9, 1e-2))
    (segment, *_) = sorted(cached.root.glob("features/*/*.rows"), key=lambda path: -path.stat().st_size)
    stage = cached.stages(cached.classifier())(Phase("none", 9, 1e-2))
    whole = np.array(stage.batches.source.read(np.arange(90)))
    content = bytearray(segment.read_bytes())
    content[3] ^= 1
    segment.write_bytes(content)
    stage = cached.stages(cached.classifier())(Phase("none", 9, 1e-2))
    assert np.array_equal(stage.batches.source.read(np.arange(90)), whole)


def test_another_way_from_files_to_pixels_is_another_cache(cached: Any) -> None:
    cached.stages(cached.classifier())(Phase("none", 9, 1e-2))
    stages = cached.stages(cached.classifier())
    stages.cache.pixels = "32x32-stretch-v2"
    stages(Phase("none", 9, 1e-2))
    assert (stages.cache.hits, stages.cache.misses) == (0, 120)


def test_started_again_a_run_caches_as_before_though_its_features_fill_the_disk(
    cached: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_usage(root: Any) -> SimpleNamespace:
        return SimpleNamespace(free=40_000 - sum(path.stat().st_size for path in root.glob("features/*/*.rows")))

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    for hits in (0, 120):  # of 256 bytes each
        stages = cached.stages(cached.classifier())
        assert stages(Phase("none", 9, 1e-2)).feature_layer == "pool"
        assert stages.cache.hits == hits


def test_a_broken_index_leaves_training_uncached_and_a_probe_in_memory(
    cached: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.data.cache import segments

    def broken(_: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(segments, "Index", broken)
    stages = cached.stages(cached.classifier())
    assert stages(Phase("none", 9, 1e-2)).feature_layer == ""
    assert len(stages(PROBE).batches.source) == 90
    required = cached.stages(cached.classifier(), required=True)
    for phase in (PROBE, Phase("none", 9, 1e-2)):
        with pytest.raises(ConfigError, match="disk I/O error"):
            required(phase)


def test_a_cache_that_breaks_on_the_way_leaves_the_same_views_in_memory(cached: Any, monkeypatch: Any) -> None:
    augmentation = {"preset": "light", "views": 2}
    kept = cached.stages(cached.classifier(), augmentation=augmentation)(Phase("none", 9, 1e-2)).batches.source
    stages = cached.stages(cached.classifier(), augmentation=augmentation)
    monkeypatch.setattr(stages.cache, "features", lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("locked")))
    held = stages(Phase("none", 9, 1e-2)).batches.source
    for epoch in (1, 2):
        kept.set_epoch(epoch)
        held.set_epoch(epoch)
        assert np.array_equal(held.read(np.arange(90)), kept.read(np.arange(90)))


def test_a_kill_loses_what_was_computed_since_the_last_minute_only(cached: Any, monkeypatch: Any) -> None:
    from transfercli.data.cache.segments import Segments
    from transfercli.transfer.features import features

    monkeypatch.setattr(features, "KEEP_SECONDS", 0.0)
    stages = cached.stages(cached.classifier())
    with monkeypatch.context() as killed:
        killed.setattr(Segments, "close", lambda _: None)  # nothing is tidied up
        killed.setattr(stages.cache, "reporter", Listener(stop_at=lambda _: True, error=KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            stages(Phase("none", 9, 1e-2))
    again = cached.stages(cached.classifier())
    again(Phase("none", 9, 1e-2))
    assert (again.cache.hits, again.cache.misses) == (32, 88)


def test_what_was_computed_before_a_stop_is_kept(cached: Any) -> None:
    stages = cached.stages(cached.classifier())

    stages.cache.reporter = Listener(lambda step: step[0] == "features" and step[1] >= 64, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        stages(Phase("none", 9, 1e-2))
    again = cached.stages(cached.classifier())
    again(Phase("none", 9, 1e-2))
    assert again.cache.hits >= 64
