"""A frozen layer runs once per image, and nothing else changes by it."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from transfercli.errors import ConfigError
from transfercli.training.phases import Phase
from transfercli.transfer.strategies import PROBE

PHASES = [Phase("none", 12, 1e-2), Phase("conv3", 12, 1e-3)]


def tensors(classifier: Any) -> dict[str, np.ndarray]:
    from transfercli.models.tensor_names import read_tensors

    return read_tensors(classifier)


def furthest(one: Any, other: Any) -> float:
    found, expected = tensors(one), tensors(other)
    return max(float(np.abs(found[name] - expected[name]).max()) for name in expected)


@pytest.mark.parametrize("head", [{}, {"hidden": [16], "dropout": 0.5}, {"pooling": "flatten"}])
def test_trained_on_cached_features_the_weights_are_those_of_training_without(
    cached: Any, uncached: Any, head: dict[str, Any]
) -> None:
    one, other = cached.classifier(**head), uncached.classifier(**head)
    stages = cached.train(one, PHASES)
    uncached.train(other, PHASES)
    assert stages.cache.misses == 2 * 120
    assert furthest(one, other) < 1e-5


def test_a_residual_base_with_batchnorm_trains_the_same_with_and_without(cached: Any, uncached: Any) -> None:
    phases = [Phase("conv5", 6, 1e-4)]
    one, other = cached.classifier("resnet18"), uncached.classifier("resnet18")
    stages = cached.train(one, phases)
    uncached.train(other, phases)
    assert stages.cache.misses == 120
    assert furthest(one, other) < 1e-4


def test_another_head_or_rate_finds_all_features_and_another_base_none(cached: Any) -> None:
    cached.train(cached.classifier(), [Phase("none", 3, 1e-2)])
    again = cached.train(cached.classifier(hidden=[8]), [Phase("none", 5, 1e-3)])
    assert (again.cache.hits, again.cache.misses) == (120, 0)
    other = cached.classifier()
    other.base.get_layer("conv1").bias.assign(np.full(32, 0.5, "float32"))
    anew = cached.train(other, [Phase("none", 3, 1e-2)])
    assert (anew.cache.hits, anew.cache.misses) == (0, 120)


def test_a_prefix_that_was_trained_in_between_is_another_prefix(cached: Any) -> None:
    stages = cached.train(cached.classifier(), [Phase("none", 3, 1e-2), Phase("all", 1, 1e-2), Phase("none", 3, 1e-2)])
    assert (stages.cache.hits, stages.cache.misses) == (0, 2 * 120)


def test_epochs_cycle_through_the_views_which_are_those_of_every_other_run(cached: Any) -> None:
    augmentation = {"preset": "light", "views": 2}
    first = cached.stages(cached.classifier(), augmentation=augmentation)
    stage = first(Phase("none", 6, 1e-2))
    assert first.cache.misses == 2 * 90 + 30
    seen = []
    for epoch in range(4):
        stage.batches.source.set_epoch(epoch)
        seen.append(stage.batches.source.read(np.arange(90)))
    assert np.array_equal(seen[0], seen[2])
    assert np.array_equal(seen[1], seen[3])
    assert not np.array_equal(seen[0], seen[1])
    again = cached.stages(cached.classifier(), augmentation=augmentation)
    again(Phase("none", 6, 1e-2))
    assert (again.cache.hits, again.cache.misses) == (2 * 90 + 30, 0)


def test_a_view_follows_from_the_pixels_and_its_number_whatever_is_beside_it(cached: Any) -> None:
    from transfercli.transfer.features.views import all_views, views_of

    common = cached.stages(cached.classifier(), augmentation={"preset": "light", "views": 3}).inputs
    rows = all_views(common.training.images, views_of(common.augmentation, common.augment, 10))
    together = rows.read(np.arange(12))
    assert all(np.array_equal(together[row], rows.read(np.array([row]))[0]) for row in (0, 5, 11))
    assert not np.array_equal(together[0], together[1])


def test_features_of_an_image_are_the_same_bits_whatever_images_are_beside_it(cached: Any) -> None:
    from transfercli.models.surgery import cut_below
    from transfercli.transfer.features.prefix import Prefix

    prefix = Prefix(cut_below(cached.classifier("resnet18"), "conv5"), "float32")
    together = prefix(cached.images[:32])
    assert np.array_equal(together[7], prefix(cached.images[7:8])[0])
    assert np.array_equal(together[3:20], prefix(cached.images[3:20]))


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
    from transfercli.transfer.features import features

    def disk_usage(root: Any) -> SimpleNamespace:
        return SimpleNamespace(free=40_000 - sum(path.stat().st_size for path in root.glob("features/*/*.rows")))

    monkeypatch.setattr(features.shutil, "disk_usage", disk_usage)
    for hits in (0, 120):  # of 256 bytes each
        stages = cached.stages(cached.classifier())
        assert stages(Phase("none", 9, 1e-2)).feature_layer == "pool"
        assert stages.cache.hits == hits


def test_a_broken_index_leaves_training_uncached_and_a_probe_in_memory(
    cached: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.transfer.features import features

    def broken(_: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(features, "Index", broken)
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
        killed.setattr(stages.cache.reporter, "progress", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stages(Phase("none", 9, 1e-2))
    again = cached.stages(cached.classifier())
    again(Phase("none", 9, 1e-2))
    assert (again.cache.hits, again.cache.misses) == (32, 88)


def test_what_was_computed_before_a_stop_is_kept(cached: Any) -> None:
    stages = cached.stages(cached.classifier())

    def stop(stage: str, done: int, *_: Any) -> None:
        if stage == "features" and done >= 64:
            raise KeyboardInterrupt

    stages.cache.reporter.progress = stop
    with pytest.raises(KeyboardInterrupt):
        stages(Phase("none", 9, 1e-2))
    again = cached.stages(cached.classifier())
    again(Phase("none", 9, 1e-2))
    assert again.cache.hits >= 64


def test_mixed_images_are_not_cached_and_required_features_are_then_refused(cached: Any) -> None:
    mixing = {"layers": [{"MixUp": {"alpha": 0.2}}]}
    stage = cached.stages(cached.classifier(), augmentation=mixing)(Phase("none", 9, 1e-2))
    assert stage.feature_layer == ""
    with pytest.raises(ConfigError, match="mixes images"):
        cached.stages(cached.classifier(), augmentation=mixing, required=True)(Phase("none", 9, 1e-2))


def test_a_probe_is_one_step_and_better_than_chance_with_or_without_a_cache(cached: Any, uncached: Any) -> None:
    for world in (cached, uncached):
        world.train(world.classifier(), [PROBE])
        assert (world.progress.epoch, world.progress.best_epoch) == (0, 0)
        assert world.progress.line["val_accuracy"] > 0.5
        assert world.progress.line["learning_rate"] == 0


def test_the_difference_of_bfloat16_is_measured_once_and_with_it_nothing_is_computed_again(
    cached: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.transfer.features.prefix import Prefix

    phase = Phase("none", 9, 1e-2)
    first = cached.stages(cached.classifier(), precision="bfloat16")
    feature_layer = first(phase).feature_layer
    (found,) = first._prefixes.values()
    monkeypatch.setattr(Prefix, "__call__", lambda *_: pytest.fail("a forward pass"))
    again = cached.stages(cached.classifier(), precision="bfloat16")
    assert (again(phase).feature_layer, again.cache.misses) == (feature_layer, 0)
    assert [prefix.precision for prefix in again._prefixes.values()] == [found.precision]


def test_a_first_batch_too_far_from_float32_is_remembered_too(cached: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.transfer.features import prefix

    measured: list[float] = []
    monkeypatch.setattr(prefix, "relative_difference", lambda *_: measured.append(1.0) or 1.0)
    for _ in range(2):
        stages = cached.stages(cached.classifier(), precision="bfloat16")
        stages(Phase("none", 9, 1e-2))
        assert [one.precision for one in stages._prefixes.values()] == ["float32"]
    assert measured == [1.0]


def test_a_trial_counts_what_is_computed_and_keeps_nothing(cached: Any) -> None:
    from transfercli.transfer.dry_run import DryRunBuilder

    classifier = cached.classifier()
    common = cached.stages(classifier, precision="bfloat16")
    trial = DryRunBuilder(classifier, common.inputs, common.cache, common.reporter)
    stage = trial(Phase("none", 9, 1e-2))
    (cost,) = trial.costs
    (prefix,) = trial._prefixes.values()
    assert cost.seconds > 0
    assert cost.bytes == 120 * prefix.row_bytes
    assert len(np.unique(stage.batches.source.read(np.arange(90)), axis=0)) == 90
    assert not list(cached.root.glob("features/*/*.rows"))
    assert trial.cache.difference(trial.inputs.training, prefix, lambda: 7.0) == 7.0
