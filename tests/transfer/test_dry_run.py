"""Stages of a dry run."""

from __future__ import annotations

from typing import Any

import numpy as np

from transfercli.training.phases import Phase


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
