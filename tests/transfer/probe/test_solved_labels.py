"""Solved heads of several labels an image: probe, refit, choice and out-of-fold predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from transfercli.reporting import Reporter
from transfercli.training.phases import PROBE, REFIT, Phase
from transfercli.transfer.probe.families import BINARY
from transfercli.transfer.probe.heads import LINEAR, MULTILAYER
from transfercli.transfer.probe.logistic import ABSENT
from transfercli.transfer.probe.probe import Probe, keep_absent_labels
from transfercli.transfer.probe.refit import image_losses


def head(classifier: Any) -> np.ndarray:
    return np.vstack(classifier.head.get_layer("logits").get_weights())


def test_a_probe_solves_one_unit_for_each_label(several: Any) -> None:
    classifier = several.classifier()
    several.train(classifier, [PROBE])
    line = several.progress.line
    assert head(classifier).shape[1] == 3
    assert line["val_map"] > 0.8
    assert line["val_accuracy"] > 0.8


def test_a_refit_is_scored_out_of_fold_on_the_known_labels_of_all_images(several: Any) -> None:
    from transfercli.transfer.probe.solved_head import cross_validated

    classifier = several.classifier()
    stages = several.train(classifier, [REFIT])
    line, held_out = several.progress.line, cross_validated(stages, "")
    assert line["cross_validated"] == 120
    assert held_out.logits.shape == held_out.targets.shape == (120, 3)
    assert np.array_equal(held_out.targets, several.targets)
    known = several.targets >= 0
    losses = np.logaddexp(0, np.where(several.targets == 1, -held_out.logits, held_out.logits).astype(float))
    assert line["val_loss"] == pytest.approx(losses[known].mean(), abs=1e-6)


def test_a_label_of_one_image_counts_as_unknown_where_it_could_not_be_held_out(several: Any) -> None:
    from transfercli.transfer.probe.solved_head import cross_validated

    several.targets[:, 2] = 0
    several.targets[7, 2] = 1
    stages = several.stages(several.classifier())
    held_out = cross_validated(stages, "")
    assert held_out.targets[7, 2] == -1
    assert 0 < (held_out.targets[:, 2] < 0).sum() < 40
    assert np.isfinite(held_out.logits).all()


def test_a_training_that_gains_nothing_leaves_the_solved_head(several: Any) -> None:
    classifier = several.classifier()
    stages = several.stages(classifier)
    from transfercli.models.tensor_names import read_tensors

    stages.start = read_tensors(classifier)
    tuned = Phase("conv3", 1, 1.0)  # a rate that destroys what the base knows
    blend = replace(tuned, learning_rate=0.0, kind="blend")
    several.train(classifier, [PROBE, tuned, blend, replace(blend, kind="refit")], stages=stages)
    assert several.progress.line["gain"] <= 2 * several.progress.line["gain_error"]
    assert several.progress.line["cross_validated"] == 120


def test_auto_compares_heads_and_counts_images_a_label(several: Any) -> None:
    from transfercli.transfer.choice import choose_head, chosen_head
    from transfercli.transfer.measuring import measure

    builder = several.stages(several.classifier(taps=["conv1", "conv2"]))
    tried = choose_head(builder, Reporter())
    assert [each.name for each in tried] == [LINEAR, MULTILAYER]
    assert all(each.log_loss is not None and 0 < each.log_loss < 0.69 for each in tried)
    assert chosen_head(tried) in (LINEAR, MULTILAYER)
    measured = measure(builder, "3x")
    assert measured.images_per_class == (several.targets[:90] == 1).sum() / 3
    assert measured.solve_seconds > 0


def test_a_label_that_no_image_has_keeps_the_weights_that_it_had() -> None:
    probe = Probe(np.array([[1.0, 0, 0, 0]], "float32"), np.array([0.5, ABSENT, -ABSENT, ABSENT], "float32"), 1.0, ())
    before = np.array([[3.0, 4.0, 5.0, 0.0]], "float32"), np.array([6.0, 7.0, 8.0, 9.0], "float32")
    kernel, bias = keep_absent_labels(probe, *before)
    assert kernel.tolist() == [[1.0, 4.0, 5.0, 0.0]]
    assert bias.tolist() == pytest.approx([0.5, 7.0, 8.0, ABSENT])
    assert kernel.dtype == bias.dtype == np.float32


def test_images_new_to_the_base_must_have_each_label_that_more_than_one_image_has() -> None:
    targets = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0], [1, -1, 0]])
    new = np.array([False, False, True, True])
    assert BINARY.can_be_scored(targets[:, :1], new)
    assert BINARY.can_be_scored(targets[:, :2], new)  # one image has the second label, and it is new
    assert not BINARY.can_be_scored(targets, new)  # one image has the third label, and it is not


def test_the_loss_of_an_image_is_its_part_of_the_mean_over_known_labels() -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(30, 4)).astype("float32"), rng.integers(-1, 2, (30, 4))
    targets[3] = -1
    losses = np.logaddexp(0, np.where(targets == 1, -logits, logits).astype(float))
    assert image_losses(logits, targets).mean() == pytest.approx(losses[targets >= 0].mean())
    assert image_losses(logits, targets)[3] == 0
    classes = rng.integers(0, 2, 30)
    unit = logits[:, :1]
    expected = np.logaddexp(0, np.where(classes == 1, -unit[:, 0], unit[:, 0]).astype(float))
    assert image_losses(unit, classes) == pytest.approx(expected)
