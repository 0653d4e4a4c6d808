"""Adaptation: the case is found from the features, a gain is used, and nothing changes without one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from transfercli.models.normalised import normalised
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.adapt.adapt import adapt
from transfercli.transfer.adapt.decision import Decision
from transfercli.transfer.adapt.domain import Adaptation, RelatedRows
from transfercli.transfer.adapt.same_domain import with_spread_labels
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem, solve_layers

LAYERS = FeatureLayers(("output",), (64,), "length")
TWO_LAYERS = FeatureLayers(("upper", "output"), (32, 32), "length")


def digits(per_class: int, skip: int = 0, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of real images as features, float32 [N, 64], and their classes.

    They are shuffled: in the file, other writers follow, who are another domain.
    """
    images, targets = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(targets))
    images, targets = images[order], targets[order]
    rows = [np.flatnonzero(targets == each)[skip : skip + per_class] for each in range(classes)]
    chosen = np.concatenate(rows)
    return images[chosen].astype(np.float32), targets[chosen]


def shifted(features: np.ndarray) -> np.ndarray:
    """Return images of another domain: the left half much brighter, the contrast lower."""
    return (0.5 * features + 6 * (np.arange(64) % 8 < 4)).astype(np.float32)


def problem(features: np.ndarray, targets: np.ndarray) -> LinearProblem:
    return LinearProblem(ArrayRows(features), targets, 10, None, 0)


def accuracy(adapted: Adaptation, features: np.ndarray, targets: np.ndarray) -> float:
    head = solve_layers(adapted.problem, adapted.layers, Reporter())
    unit = normalised(features, adapted.layers.widths, "length")
    return float(((unit @ head.kernel + head.bias).argmax(axis=1) == targets).mean())


def test_labels_of_another_domain_are_aligned_with_the_unlabelled_target() -> None:
    source, targets = digits(30)
    unlabelled, (test, truth) = shifted(digits(40, 60)[0]), digits(40, 120)
    labelled = problem(source, targets)
    plain = adapt(labelled, TWO_LAYERS, None, None, "auto")
    adapted = adapt(labelled, TWO_LAYERS, ArrayRows(unlabelled), None, "auto")
    assert adapted.decision.case == "another domain"
    assert adapted.decision.chosen == "moments"
    assert adapted.decision.domain_area > 0.9
    assert accuracy(adapted, shifted(test), truth) > accuracy(plain, shifted(test), truth) + 0.1


@pytest.mark.parametrize("setting", ["centre", "coral"])
def test_a_named_alignment_is_used_as_it_is(setting: str) -> None:
    source, targets = digits(20)
    unlabelled = ArrayRows(shifted(digits(20, 60)[0]))
    adapted = adapt(problem(source, targets), LAYERS, unlabelled, None, setting)
    assert adapted.decision.chosen == setting


def test_none_leaves_the_head_as_it_is_and_says_that_the_domains_differ() -> None:
    source, targets = digits(20)
    labelled, unlabelled = problem(source, targets), ArrayRows(shifted(digits(20, 60)[0]))
    adapted = adapt(labelled, LAYERS, unlabelled, None, "none")
    assert (adapted.decision.case, adapted.decision.chosen) == ("another domain", "none")
    plain = solve_layers(labelled, LAYERS, Reporter())
    np.testing.assert_array_equal(solve_layers(adapted.problem, adapted.layers, Reporter()).kernel, plain.kernel)


def test_an_alignment_that_changes_few_predictions_is_not_used() -> None:
    source, targets = digits(30)
    marked = digits(40, 60)[0] + 12 * (np.arange(64) == 56)  # a bright corner: another domain, but the same digits
    adapted = adapt(problem(source, targets), TWO_LAYERS, ArrayRows(marked.astype(np.float32)), None, "auto")
    assert (adapted.decision.case, adapted.decision.chosen) == ("another domain", "none")
    assert "change too little" in adapted.decision.text
    named = adapt(problem(source, targets), TWO_LAYERS, ArrayRows(marked.astype(np.float32)), None, "moments")
    assert named.decision.chosen == "moments"


def test_other_shares_of_the_classes_alone_are_no_other_domain() -> None:
    source, targets = digits(30)
    images, classes = digits(60, 60)
    skewed = np.isin(classes, (0, 1, 2)) | (np.arange(len(classes)) % 12 == 0)
    adapted = adapt(problem(source, targets), LAYERS, ArrayRows(images[skewed]), None, "auto")
    assert adapted.decision.case == "same domain"
    assert adapted.decision.chosen in ("none", "propagation")


def test_labels_spread_to_unlabelled_images_of_the_same_domain() -> None:
    images, targets = digits(3)
    unlabelled, (test, truth) = digits(60, 20)[0], digits(40, 100)
    plain = adapt(problem(images, targets), LAYERS, None, None, "auto")
    adapted = adapt(problem(images, targets), LAYERS, ArrayRows(unlabelled), None, "auto")
    assert adapted.decision.chosen == "propagation", adapted.decision.text
    assert accuracy(adapted, test, truth) > accuracy(plain, test, truth)
    assert not adapted.problem.held_out[len(images) :].any()


def test_labels_that_spread_without_a_gain_are_not_used() -> None:
    images, targets = digits(8)
    mixed = digits(30, 20)[0] + digits(30, 60)[0][::-1]  # sums of two classes: most of their labels are wrong
    adapted = adapt(problem(images, targets), LAYERS, ArrayRows(mixed), None, "auto")
    test, truth = digits(40, 120)
    plain = adapt(problem(images, targets), LAYERS, None, None, "auto")
    assert accuracy(adapted, test, truth) >= accuracy(plain, test, truth) - 0.01


def test_labels_do_not_spread_among_images_that_form_no_groups() -> None:
    images, targets = digits(3)
    mixed = digits(30, 20)[0] + digits(30, 60)[0][::-1]  # sums of two classes lie between them
    found = Adaptation(problem(images, targets), TWO_LAYERS, Decision("same domain", "none", "one domain"))
    kept = with_spread_labels(found, normalised(mixed, TWO_LAYERS.widths, "length"))
    assert kept.decision.chosen == "none"
    assert "no clear groups" in kept.decision.text
    assert kept.problem is found.problem


def test_labels_do_not_spread_from_many() -> None:
    images, targets = digits(11)
    adapted = adapt(problem(images, targets), LAYERS, ArrayRows(digits(20, 60)[0]), None, "auto")
    assert adapted.decision.chosen == "none"
    assert "more than 10 a class" in adapted.decision.text


def test_related_images_are_used_if_they_help_and_never_validate() -> None:
    images, targets = digits(3)
    other, labels = digits(40, 20)
    related = RelatedRows(ArrayRows(shifted(other)), labels, np.zeros(len(labels), np.int64))
    adapted = adapt(problem(images, targets), LAYERS, None, related, "auto")
    plain = adapt(problem(images, targets), LAYERS, None, None, "auto")
    assert adapted.decision.chosen.startswith("related"), adapted.decision.text
    assert adapted.problem.held_out.tolist() == [True] * len(images) + [False] * len(labels)
    test, truth = digits(40, 120)
    assert accuracy(adapted, test, truth) > accuracy(plain, test, truth)


def test_related_images_of_the_same_look_are_used_as_they_are() -> None:
    images, targets = digits(3)
    other, labels = digits(40, 20)
    related = RelatedRows(ArrayRows(other), labels, np.zeros(len(labels), np.int64))
    adapted = adapt(problem(images, targets), LAYERS, None, related, "auto")
    assert adapted.decision.chosen == "related, none", adapted.decision.text


def test_related_images_with_wrong_labels_are_left_out() -> None:
    images, targets = digits(10)
    other, labels = digits(30, 20)
    related = RelatedRows(ArrayRows(other), (labels + 3) % 10, np.zeros(len(labels), np.int64))
    adapted = adapt(problem(images, targets), LAYERS, None, related, "auto")
    assert adapted.decision.chosen == "none"
    assert adapted.problem.held_out is None


def test_related_images_are_used_if_each_class_has_one_label() -> None:
    images, targets = digits(1)
    other, labels = digits(20, 20)
    related = RelatedRows(ArrayRows(shifted(other)), labels, np.arange(len(labels)) % 2)
    adapted = adapt(problem(images, targets), LAYERS, None, related, "auto")
    assert adapted.decision.chosen.startswith("related")
    assert "single image" in adapted.decision.text


def test_each_related_domain_is_moved_by_itself() -> None:
    images, targets = digits(10)
    other, labels = digits(20, 20)
    domain = np.arange(len(labels)) % 2
    mixed = np.where(domain[:, None] == 1, shifted(other), other)
    adapted = adapt(problem(images, targets), LAYERS, None, RelatedRows(ArrayRows(mixed), labels, domain), "centre")
    assert adapted.decision.chosen == "related, centre", adapted.decision.text
    joined = adapted.problem.features.read(np.arange(100, 300))
    np.testing.assert_allclose(joined[:100].mean(axis=0), joined[100:].mean(axis=0), atol=1e-5)


def test_the_same_arguments_give_the_same_decision() -> None:
    source, targets = digits(20)
    labelled, unlabelled = problem(source, targets), ArrayRows(shifted(digits(20, 60)[0]))
    one, other = (adapt(labelled, LAYERS, unlabelled, None, "auto").decision for _ in range(2))
    assert one.as_json() == other.as_json()


def test_image_weights_of_the_problem_are_kept() -> None:
    images, targets = digits(10)
    other, labels = digits(20, 20)
    weighted = replace(problem(images, targets), weights=np.linspace(1, 2, len(targets)))
    related = RelatedRows(ArrayRows(other), labels, np.zeros(len(labels), np.int64))
    adapted = adapt(weighted, LAYERS, None, related, "none")
    if adapted.decision.chosen != "none":
        own = adapted.problem.weights[: len(targets)]
        np.testing.assert_allclose(own / own[0], weighted.weights / weighted.weights[0])
