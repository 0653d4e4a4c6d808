"""The stage of a refit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from transfercli.training.phases import PROBE, REFIT, Phase


def test_a_refit_is_scored_out_of_fold_and_learns_from_validation_images_too(cached: Any) -> None:
    probe, refit = cached.classifier(), cached.classifier()
    cached.train(probe, [PROBE])
    cached.train(refit, [REFIT])
    assert cached.progress.line["cross_validated"] == 120
    assert cached.progress.line["val_accuracy"] > 0.5
    heads = [each.head.get_layer("logits").get_weights()[0] for each in (probe, refit)]
    assert not np.allclose(*heads)


def test_an_image_that_cannot_be_held_out_has_no_part_in_the_score(cached: Any) -> None:
    cached.targets = np.arange(120, dtype="int32") % 4
    cached.targets[7] = 4  # the only image of its class
    cached.train(cached.classifier(), [REFIT])
    assert cached.progress.line["cross_validated"] == 119
    assert np.isfinite(cached.progress.line["val_loss"])


def test_after_a_training_that_gains_nothing_the_head_is_refitted_with_the_base_as_it_was(cached: Any) -> None:
    classifier = cached.classifier()
    before = classifier.base.get_layer(classifier.stages["conv3"][0]).get_weights()[0]
    stages = cached.stages(classifier)
    from transfercli.models.tensor_names import read_tensors

    stages.start = read_tensors(classifier)
    tuned = Phase("conv3", 1, 1.0)  # a rate that destroys what the base knows
    cached.train(classifier, [PROBE, tuned, replace(tuned, learning_rate=0.0, kind="refit")], stages=stages)
    line = cached.progress.line
    assert line["gain"] <= 2 * line["gain_error"]
    assert line["cross_validated"] == 120
    assert cached.progress.best_epoch == line["epoch"] == 2
    assert np.array_equal(classifier.base.get_layer(classifier.stages["conv3"][0]).get_weights()[0], before)


def test_the_network_is_cut_after_the_base_once_for_all_solutions(cached: Any) -> None:
    stages = cached.stages(cached.classifier())
    assert stages.cut_after_base() is stages.cut_after_base()
    cut, stages.classifier = stages.cut_after_base(), cached.classifier()
    assert stages.cut_after_base() is not cut
