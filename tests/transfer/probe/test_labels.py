"""The probe of several labels an image is scikit-learn's logistic regression of each label, with unknown labels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.transfer.probe.probes import examples
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe import logistic
from transfercli.transfer.probe.cross_validation import cross_validate, solve_scored
from transfercli.transfer.probe.families import BINARY
from transfercli.transfer.probe.logistic import ABSENT
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem, solve_layers
from transfercli.transfer.probe.normalisation import choose_normalisation
from transfercli.transfer.probe.probe import MIDDLE, Probe, solve
from transfercli.transfer.probe.row_space import coordinates

TWO = FeatureLayers(("low", "output"), (32, 32), "root")
ONE = FeatureLayers(("output",), (64,), "none")


def labelled(unknown: float = 0.2, images: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Digits with four labels: zero, even, above six, and one that few images have; a share of them is unknown."""
    features, digits = examples(10, images)
    rare = np.arange(len(digits)) % 40 == 0
    targets = np.stack([digits == 0, digits % 2 == 0, digits > 6, rare], axis=1).astype(np.int32)
    targets[np.random.default_rng(0).random(targets.shape) < unknown] = -1
    return features, targets


def solved(features: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None, **more: object) -> Probe:
    classes = targets.shape[1]
    return solve(ArrayRows(features), targets, classes, class_weights=weights, seed=0, reporter=Reporter(), **more)


def logits(probe: Probe, features: np.ndarray) -> np.ndarray:
    return features.astype(np.float64) @ probe.kernel + probe.bias


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def reference(centred: np.ndarray, truth: np.ndarray, known: np.ndarray, strength: float, weight: float = 1.0):
    """scikit-learn's model of one label, fitted to the images for which it is known."""
    weights = np.where(truth == 1, weight, 1.0)[known]
    model = LogisticRegression(C=strength, tol=1e-9, max_iter=10_000)
    return model.fit(centred[known], truth[known] == 1, weights / weights.mean())


@pytest.mark.parametrize("positive_weights", [None, np.array([3.0, 1.0, 0.5, 40.0])])
def test_each_label_is_solved_as_scikit_learn_solves_it_alone(positive_weights: np.ndarray | None) -> None:
    features, targets = labelled()
    found = solved(features, targets, positive_weights)
    assert found.kernel.dtype == found.bias.dtype == np.float32
    assert found.kernel.shape == (64, 4)
    centred = coordinates(ArrayRows(features)).centred.astype(np.float64)
    for label, truth in enumerate(targets.T):
        weight = 1.0 if positive_weights is None else positive_weights[label]
        expected = reference(centred, truth, truth >= 0, found.strength, weight).predict_proba(centred)[:, 1]
        np.testing.assert_allclose(sigmoid(logits(found, features)[:, label]), expected, atol=1e-4)


def test_random_features_wider_than_there_are_images_are_solved_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(40, 400)).astype(np.float32)
    targets = (features[:, :3] + rng.normal(size=(40, 3)) > 0).astype(np.int32)
    found = solved(features, targets)
    centred = coordinates(ArrayRows(features)).centred.astype(np.float64)
    for label, truth in enumerate(targets.T):
        expected = reference(centred, truth, truth >= 0, found.strength).predict_proba(centred)[:, 1]
        np.testing.assert_allclose(sigmoid(logits(found, features)[:, label]), expected, atol=1e-4)


def test_all_labels_share_their_passes_over_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.transfer.probe.label_logistic import LabelProblem

    passes, shapes = [], set()
    plain = LabelProblem.loss_and_gradient

    def counted(self: LabelProblem, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        passes.append(theta.size)
        shapes.add(theta.shape[0])
        return plain(self, theta)

    monkeypatch.setattr(LabelProblem, "loss_and_gradient", counted)
    solved(*labelled())
    assert shapes == {4}
    assert len(passes) < 250  # of nine strengths in five folds, and the final fit


def test_the_bits_are_the_same_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets = labelled()
    monkeypatch.setattr(logistic, "BLOCK_LOGITS", 400)
    monkeypatch.setattr(logistic, "usable_cores", lambda: 4)
    many = solved(features, targets)
    monkeypatch.setattr(logistic, "usable_cores", lambda: 1)
    one = solved(features.copy(), targets.copy())
    assert np.array_equal(many.kernel, one.kernel)
    assert np.array_equal(many.bias, one.bias)
    assert many.path == one.path


def test_the_order_of_the_labels_does_not_matter() -> None:
    features, targets = labelled()
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(
        sigmoid(logits(solved(features, targets[:, order]), features)),
        sigmoid(logits(solved(features, targets), features))[:, order],
        atol=1e-4,
    )


def test_held_out_figures_are_those_of_models_that_never_saw_the_image() -> None:
    features, targets = labelled()
    found = solved(features, targets)
    fold_of = BINARY.folds_of(targets, np.ones(len(targets), bool), None, 0)
    assert fold_of is not None
    centred = coordinates(ArrayRows(features)).centred.astype(np.float64)
    strength, loss, accuracy = found.path[2]
    losses, hits = [], []
    for truth in targets.T:
        for fold in range(5):
            held, known = fold_of == fold, truth >= 0
            likely = reference(centred, truth, known & ~held, strength).predict_proba(centred[held & known])
            losses += list(-np.log(likely[np.arange(len(likely)), truth[held & known]]))
            hits += list(likely.argmax(1) == truth[held & known])
    assert loss == pytest.approx(np.mean(losses), abs=3e-3)
    assert accuracy == pytest.approx(np.mean(hits), abs=0.01)


def test_a_rare_label_is_in_every_fold_that_it_can_be_in() -> None:
    _, targets = labelled(unknown=0)
    targets[:, 3] = 0
    targets[[0, 45, 90, 135, 200], 3] = 1
    fold_of = BINARY.folds_of(targets, np.ones(len(targets), bool), None, 3)
    assert fold_of is not None
    assert sorted(fold_of[targets[:, 3] == 1]) == [0, 1, 2, 3, 4]
    assert np.ptp(np.bincount(fold_of)) <= 1


def test_groups_stay_whole_and_some_images_train_in_every_fold() -> None:
    _, targets = labelled()
    unit_of, held_out = np.arange(len(targets)) // 6, np.arange(len(targets)) >= 60
    fold_of = BINARY.folds_of(targets, held_out, unit_of, 0)
    assert fold_of is not None
    assert np.array_equal(fold_of >= 0, held_out)
    assert all(len(set(fold_of[unit_of == unit])) == 1 for unit in range(unit_of.max() + 1))
    assert set(fold_of) == {-1, 0, 1, 2, 3, 4}


def test_a_label_without_positives_or_without_negatives_has_a_constant_answer() -> None:
    features, targets = labelled()
    targets[:, 0], targets[:, 2], targets[:, 3] = 0, np.where(targets[:, 2] >= 0, 1, -1), -1
    found = solved(features, targets)
    assert found.bias[[0, 2, 3]] == pytest.approx([ABSENT, -ABSENT, ABSENT])
    assert not found.kernel[:, [0, 2, 3]].any()
    known = targets[:, 1] >= 0
    assert ((logits(found, features)[:, 1] > 0) == targets[:, 1])[known].mean() > 0.9


def test_nothing_to_learn_is_an_error_in_words() -> None:
    features, targets = labelled()
    with pytest.raises(DataError, match="a label that some of the images have and others have not"):
        solved(features, np.zeros_like(targets))


def test_labels_of_a_single_image_each_have_the_middle_strength() -> None:
    features, _ = labelled(images=2)
    found = solved(features, np.eye(len(features), 2, dtype=np.int32))
    assert found.strength == MIDDLE
    assert found.path == ()


def test_a_label_of_a_single_image_is_not_scored_where_no_other_image_teaches_it() -> None:
    features, targets = labelled(unknown=0)
    targets[:, 3] = 0
    targets[17, 3] = 1
    problem = LinearProblem(ArrayRows(features), targets, 4, None, 0)
    found = cross_validate(problem, ONE, Reporter())
    unscored = np.isnan(found.logits)
    assert not unscored[:, :3].any()
    assert unscored[17, 3]
    assert 0 < unscored[:, 3].sum() <= len(targets) // 5
    assert np.isfinite(found.losses).all()


@pytest.mark.parametrize("layers", [ONE, TWO])
@pytest.mark.parametrize("groups", [(), tuple(f"group {number % 60}" for number in range(300))])
def test_a_head_that_is_scored_too_is_the_same_and_so_is_its_score(
    layers: FeatureLayers, groups: tuple[str, ...]
) -> None:
    features, targets = labelled()
    posed = LinearProblem(ArrayRows(features), targets, 4, None, 0, groups)
    probe, scored = solve_scored(posed, layers, Reporter())
    alone, expected = solve_layers(posed, layers, Reporter()), cross_validate(posed, layers, Reporter())
    assert np.array_equal(probe.kernel, alone.kernel)
    assert np.array_equal(probe.bias, alone.bias)
    assert np.array_equal(scored.logits, expected.logits)
    assert (scored.loss, scored.accuracy) == (expected.loss, expected.accuracy)


def test_the_figures_are_means_over_the_known_labels() -> None:
    features, targets = labelled()
    targets[5] = -1
    found = cross_validate(LinearProblem(ArrayRows(features), targets, 4, None, 0), TWO, Reporter())
    known = targets >= 0
    losses = np.logaddexp(0, np.where(targets == 1, -found.logits, found.logits).astype(float))
    assert found.loss == pytest.approx(losses[known].mean())
    assert found.accuracy == pytest.approx(((found.logits > 0) == (targets == 1))[known].mean())
    assert np.isnan(found.losses[5])
    assert found.accuracy > 0.9


def test_several_layers_are_better_than_the_worse_and_the_normalisation_is_chosen() -> None:
    features, targets = labelled()
    noise = np.random.default_rng(0).normal(size=(len(features), 64)).astype(np.float32)
    problem = LinearProblem(ArrayRows(np.concatenate([noise, features], 1)), targets, 4, None, 0)
    layers = FeatureLayers(("noise", "output"), (64, 64), "length")
    found = solve_layers(problem, layers, Reporter())
    shares = {name: share for name, share, _ in found.layers}
    assert shares["output"] > 3 * shares["noise"]
    assert choose_normalisation(problem, layers, Reporter()) in ("root", "length")
