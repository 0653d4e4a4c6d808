"""The probe is scikit-learn's logistic regression, found quicker, with a strength chosen by cross-validation."""

from __future__ import annotations

import numpy as np
import pytest

from tests.listener import Listener
from tests.transfer.probe.probes import examples, probabilities, probe, reference
from transfercli.errors import DataError, Interrupted
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.folding import group_folds, stratified_folds
from transfercli.transfer.probe.probe import (
    MIDDLE,
    STRENGTHS,
    Candidate,
    choose,
    keep_absent_classes,
    sigmoid_unit,
    solve,
    solve_seconds,
)
from transfercli.transfer.probe.row_space import coordinates


def test_probabilities_are_those_of_scikit_learn_at_the_strength_it_chose() -> None:
    features, targets = examples()
    found = probe(features, targets, 10)
    assert found.kernel.dtype == found.bias.dtype == np.float32
    assert abs(probabilities(found, features) - reference(features, targets, found.strength)).max() < 1e-4


def test_class_weights_act_as_sample_weights_and_only_their_ratios_matter() -> None:
    features, targets = examples(4)
    by_class = np.array([1.0, 4.0, 0.5, 2.0])
    found = probe(features, targets, 4, by_class)
    weights = by_class[targets] / by_class[targets].mean()
    assert abs(probabilities(found, features) - reference(features, targets, found.strength, weights)).max() < 1e-4
    assert np.array_equal(found.kernel, probe(features, targets, 4, 8 * by_class).kernel)
    assert not np.allclose(found.kernel, probe(features, targets, 4).kernel, atol=1e-4)


def test_the_strength_is_on_the_path_and_not_weaker_than_the_best() -> None:
    features, targets = examples(each=60)
    found = probe(features, targets, 10)
    tried = [strength for strength, _, _ in found.path]
    assert tried == list(STRENGTHS[: len(tried)])
    losses = np.array([loss for _, loss, _ in found.path])
    chosen = tried.index(found.strength)
    assert losses[chosen] < 1.5 * losses.min()
    assert chosen <= losses.argmin()
    assert found.path[chosen][2] > 0.9


def test_the_least_strength_within_one_standard_error_is_chosen() -> None:
    tried = [Candidate(s, loss, 0.1, 0.0, np.zeros(1)) for s, loss in [(1, 0.8), (2, 0.59), (3, 0.5), (4, 0.55)]]
    assert choose(tried).strength == 2


@pytest.mark.parametrize("by_class", [None, np.array([1.0, 4.0, 0.5, 2.0])])
def test_held_out_figures_are_those_of_models_that_never_saw_the_image(by_class: np.ndarray | None) -> None:
    from sklearn.linear_model import LogisticRegression

    features, targets = examples(4)
    found = probe(features, targets, 4, by_class)
    weights = np.ones(len(targets)) if by_class is None else by_class[targets]
    weights = weights / weights.mean()
    folds = stratified_folds(targets, 5, seed=0)
    centred = coordinates(ArrayRows(features)).centred.astype(np.float64)
    strength, loss, accuracy = found.path[2]
    losses, hits = [], []
    for fold in range(5):
        held, model = folds == fold, LogisticRegression(C=strength, tol=1e-8, max_iter=10_000)
        likely = model.fit(centred[~held], targets[~held], weights[~held]).predict_proba(centred[held])
        losses += list(-weights[held] * np.log(likely[np.arange(len(likely)), targets[held]]))
        hits += list(likely.argmax(1) == targets[held])
    assert loss == pytest.approx(np.mean(losses), abs=2e-3)
    assert accuracy == pytest.approx(np.mean(hits), abs=0.02)


def test_weaker_penalties_are_not_tried_once_the_held_out_loss_has_clearly_risen() -> None:
    features, targets = examples(4, 60)
    rng = np.random.default_rng(0)
    mislabelled = np.where(rng.random(len(targets)) < 0.5, rng.integers(0, 4, len(targets)), targets)
    found = probe(features, mislabelled, 4)
    assert len(found.path) < len(STRENGTHS)
    losses = [loss for _, loss, _ in found.path]
    assert losses[-1] == max(losses[losses.index(min(losses)) :])
    assert len(probe(features, targets, 4).path) == len(STRENGTHS)


def test_the_same_arguments_give_the_same_bits_and_another_seed_other_folds() -> None:
    features, targets = examples()
    first, second = probe(features, targets, 10), probe(features.copy(), targets.copy(), 10)
    assert np.array_equal(first.kernel, second.kernel)
    assert np.array_equal(first.bias, second.bias)
    assert first.path == second.path
    other = solve(ArrayRows(features), targets, 10, class_weights=None, seed=1, reporter=Reporter())
    assert other.path != first.path


@pytest.mark.parametrize("counts", [(7, 7, 7), (2, 9, 30), (5, 6, 101)])
def test_every_fold_holds_its_share_of_every_class(counts: tuple[int, ...]) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    folds = min(5, *counts)
    found = stratified_folds(targets, folds, seed=3)
    for label, count in enumerate(counts):
        held = np.bincount(found[targets == label], minlength=folds)
        assert set(held) <= {count // folds, -(-count // folds)}
    assert np.ptp(np.bincount(found)) <= 1


def test_a_class_without_images_stays_improbable_whatever_the_features() -> None:
    features, targets = examples(4)
    targets = np.array([0, 2, 3, 5])[targets]
    found = probe(features, targets, 6)
    assert not found.kernel[:, [1, 4]].any()
    anything = np.random.default_rng(0).normal(0, 1000, (500, 64)).astype("float32")
    assert probabilities(found, np.concatenate([features, anything]))[:, [1, 4]].max() < 1.1e-6
    present = probe(features, np.unique(targets, return_inverse=True)[1], 4)
    assert np.array_equal(found.kernel[:, [0, 2, 3, 5]], present.kernel)


def test_two_classes_are_one_sigmoid_unit_as_well() -> None:
    features, targets = examples(2)
    found = probe(features, targets, 2)
    kernel, bias = sigmoid_unit(found)
    assert kernel.shape == (64, 1)
    assert bias.shape == (1,)
    assert kernel.dtype == bias.dtype == np.float32
    unit = 1 / (1 + np.exp(-(features.astype(np.float64) @ kernel + bias)))
    assert np.allclose(unit[:, 0], probabilities(found, features)[:, 1], atol=1e-6)
    # Two symmetric rows w/2 and -w/2 cost half of what scikit-learn's one row w costs.
    assert np.allclose(unit[:, 0], reference(features, targets, 2 * found.strength)[:, 1], atol=1e-4)


def test_features_that_say_nothing_leave_the_shares_of_the_classes() -> None:
    targets = np.repeat([0, 1, 2], [10, 20, 30])
    found = probe(np.full((60, 8), 3.0, "float32"), targets, 3)
    assert not found.kernel.any()
    assert np.allclose(probabilities(found, np.zeros((1, 8))), [1 / 6, 1 / 3, 1 / 2], atol=1e-4)


def test_a_class_with_a_single_image_takes_the_middle_strength_and_says_so() -> None:
    features, targets = examples(3, 8)
    keep = np.concatenate([[0], np.flatnonzero(targets > 0)])
    listener = Listener()
    found = solve(ArrayRows(features[keep]), targets[keep], 3, class_weights=None, seed=0, reporter=listener)
    assert found.strength == MIDDLE
    assert found.path == ()
    assert "without cross-validation" in listener.infos[0]
    assert (probabilities(found, features[keep]).argmax(1) == targets[keep]).all()


def test_folds_solved_one_after_another_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets = examples(4)
    together = probe(features, targets, 4)
    monkeypatch.setattr("transfercli.transfer.probe.probe.MAX_PARAMETERS", 2 * 4 * 65)
    apart = probe(features, targets, 4)
    assert apart.strength == together.strength
    assert np.allclose(apart.path, together.path, atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused_with_their_count(bad: float) -> None:
    features, targets = examples(3)
    features[[1, 5], 7] = bad
    with pytest.raises(DataError, match="features of 2 of 90 images") as caught:
        probe(features, targets, 3)
    assert "float32" in (caught.value.hint or "")


def test_the_estimate_of_the_solution_grows_with_the_images_and_classes() -> None:
    assert solve_seconds(40_000, 64, 10) > solve_seconds(2_000, 64, 10) > 0
    assert solve_seconds(2_000, 64, 400) > solve_seconds(2_000, 64, 2)


def test_a_single_class_is_refused() -> None:
    features, targets = examples(1)
    with pytest.raises(DataError, match="at least 2 classes; there are 1"):
        probe(features, targets, 3)


def test_it_tells_how_far_it_is_and_stops_when_asked_to() -> None:
    features, targets = examples(3)
    listener = Listener()
    solve(ArrayRows(features), targets, 3, class_weights=None, seed=0, reporter=listener)
    assert listener.steps[0][1:3] == (0, len(STRENGTHS))
    assert listener.steps[-1][1:3] == (len(STRENGTHS), len(STRENGTHS))
    assert "in 5 folds" in listener.infos[0]
    with pytest.raises(Interrupted):
        solve(ArrayRows(features), targets, 3, class_weights=None, seed=0, reporter=Listener(stop_at=lambda _: True))


def test_a_class_that_lost_its_images_is_still_known_by_the_row_it_had() -> None:
    features, targets = examples(4, 60)
    before, left = probe(features, targets, 4), targets != 3
    again = probe(features[left], targets[left], 4)
    kernel, bias = keep_absent_classes(again, before.kernel, before.bias)
    assert np.array_equal(kernel[:, :3], again.kernel[:, :3])
    ours, theirs = (each[:, 3] - each[:, :3].mean(1) for each in (kernel, before.kernel))
    assert np.allclose(ours, theirs, atol=1e-6)
    right = (features @ kernel + bias).argmax(1) == targets
    assert right[left].mean() > 0.95
    assert right[~left].mean() > 0.8


def test_rows_of_a_head_without_a_class_in_common_are_not_kept_and_none_that_nobody_learnt() -> None:
    features, targets = examples(4, 30)
    pair = targets < 2
    other, found = probe(features[~pair], targets[~pair], 4), probe(features[pair], targets[pair], 4)
    for kernel in (other.kernel, np.zeros_like(other.kernel)):
        kept = keep_absent_classes(found, kernel, other.bias)
        assert np.array_equal(kept[0], found.kernel)
        assert np.array_equal(kept[1], found.bias)


def test_a_fold_has_whole_groups_and_each_class_is_in_every_fold() -> None:
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(30) % 3, 4)
    groups = np.repeat(np.arange(30), 4)
    for of_class in (targets, rng.integers(3, size=120)):  # groups of one class, and of several
        fold_of = group_folds(of_class, groups, 5, seed=0)
        assert all(len(set(fold_of[groups == group])) == 1 for group in range(30))
        assert {(label, fold) for label, fold in zip(of_class, fold_of, strict=True)} == {
            (label, fold) for label in range(3) for fold in range(5)
        }
        assert np.ptp(np.bincount(fold_of)) <= 12
        assert np.array_equal(fold_of, group_folds(of_class, groups, 5, seed=0))


def test_subjects_are_held_out_as_a_whole_so_that_the_penalty_is_chosen_for_new_ones() -> None:
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(20) % 2, 10)
    features = np.sqrt(0.8) * np.repeat(rng.standard_normal((20, 64)), 10, axis=0)
    features += np.sqrt(0.2) * rng.standard_normal((200, 64))
    features[:, :4] += np.where(targets == 0, -0.5, 0.5)[:, None]
    groups = tuple(f"s{image // 10}" for image in range(200))
    arguments = {"class_weights": None, "seed": 0, "reporter": Reporter()}
    rows = ArrayRows(features.astype(np.float32))
    known, ignored = (solve(rows, targets, 2, groups=each, **arguments) for each in (groups, ()))
    assert known.strength <= 10 < ignored.strength
    alone = tuple(map(str, range(200)))
    assert solve(rows, targets, 2, groups=alone, **arguments).strength == ignored.strength


def test_with_one_group_a_class_there_is_no_cross_validation() -> None:
    features, targets = examples(3)
    listener = Listener()
    groups = tuple(f"subject of {target}" for target in targets)
    found = solve(ArrayRows(features), targets, 3, class_weights=None, seed=0, reporter=listener, groups=groups)
    assert (found.strength, found.path) == (MIDDLE, ())
