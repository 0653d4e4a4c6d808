"""The probe of several labels an image: one strength for all labels or one for each, and its cost.

Usage: python benchmarks/label_probe.py [--images 100 300 1000 3000] [--seeds 4]

A scene has one to three of scikit-learn's digits, the low ones more often. Its features are the mean of those of its
digits, 512 random rectified ones each, as a pooling gives; other digits make the 2,000 test scenes. A fifth of the
training labels is unknown. Prints two Markdown tables. The first has the mean average precision and the log loss on the
test scenes at strengths that rules choose from the same cross-validation: for all labels or for each, by the least
held-out loss or the least strength within one standard error of it; `best` is each label's own best on the test scenes.
The second has the processor seconds of `solve`, with the digits of a scene as labels, and with one of them as a class,
and those of scikit-learn for all labels at the strength that was chosen, without a cross-validation.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from threadpoolctl import threadpool_limits

from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.families import BINARY
from transfercli.transfer.probe.logistic import fit
from transfercli.transfer.probe.probe import PATH_TOLERANCE, STRENGTHS, fold_problems, solve
from transfercli.transfer.probe.row_space import coordinates

WIDTH, TEST_SCENES, UNKNOWN = 512, 2000, 0.2
RULES = ("one, least loss", "one, standard error", "each, least loss", "each, standard error", "best")

Scenes = tuple[np.ndarray, np.ndarray]


def scenes(count: int, seed: int, part: slice) -> Scenes:
    """Return features float32 [N, 512] and targets int [N, 10] of scenes of a part of the digits."""
    digits = load_digits()
    pixels, classes = digits.data[part] / 16, digits.target[part]
    mix = np.random.default_rng(0).normal(size=(pixels.shape[1], WIDTH)) / 4
    each = np.maximum(pixels @ mix - 0.3, 0)
    rng = np.random.default_rng(seed)
    shares = 1 / (1 + np.arange(10)) ** 1.2
    features, targets = np.zeros((count, WIDTH), np.float32), np.zeros((count, 10), np.int64)
    for number in range(count):
        chosen = rng.choice(10, rng.integers(1, 4), replace=False, p=shares / shares.sum())
        features[number] = np.mean([each[rng.choice(np.flatnonzero(classes == digit))] for digit in chosen], axis=0)
        targets[number, chosen] = 1
    return features, targets


def losses(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the log losses [N, L]; NaN for unknown labels."""
    found = np.logaddexp(0, np.where(targets == 1, -logits, logits).astype(np.float64))
    return np.where(targets < 0, np.nan, found)


def compare(training: Scenes, test: Scenes) -> dict[str, tuple[float, float]]:
    """Return rule -> (mean average precision, log loss) on the test scenes."""
    features, targets = training
    present = BINARY.present(targets, 10)
    targets, test_targets = targets[:, present], test[1][:, present]
    space = coordinates(ArrayRows(features))
    whole = BINARY.problem(space.rows, targets, None, None)
    fold_of = BINARY.folds_of(targets, np.ones(len(targets), bool), None, 0)
    assert fold_of is not None
    ((folds, held_out),) = fold_problems(whole, fold_of)
    theta, final = folds.start(), whole.start()
    loss, error, shared_error, test_loss, precision = [], [], [], [], []
    for strength in STRENGTHS:
        theta = fit(folds, theta, strength, PATH_TOLERANCE)
        logits = np.full(targets.shape, np.nan)
        for number, images in enumerate(held_out):
            logits[images] = folds.answers(theta, number, images)
        found = losses(logits, targets)
        loss.append(np.nanmean(found, 0))
        error.append(np.nanstd(found, 0) / np.sqrt(np.isfinite(found).sum(0)))
        shared_error.append(np.nanmean(found, 1).std() / len(found) ** 0.5)
        final = fit(whole, final, strength, 1e-7)
        kernel, bias = space.to_feature_space(final[:, 0])
        answers = test[0].astype(np.float64) @ kernel + bias
        test_loss.append(losses(answers, test_targets).mean(0))
        precision.append([average_precision_score(*each) for each in zip(test_targets.T, answers.T, strict=True)])
    by_label, errors, mean = np.array(loss), np.array(error), np.mean(loss, axis=1)
    labels, best = np.arange(len(present)), int(mean.argmin())
    within = by_label <= by_label.min(0) + errors[by_label.argmin(0), labels]
    rules = (
        np.full(len(labels), best),
        np.full(len(labels), np.argmax(mean <= mean[best] + shared_error[best])),
        by_label.argmin(0),
        within.argmax(0),
        np.argmin(test_loss, axis=0),
    )
    return {
        name: (float(np.array(precision)[rule, labels].mean()), float(np.array(test_loss)[rule, labels].mean()))
        for name, rule in zip(RULES, rules, strict=True)
    }


def costs(training: Scenes) -> tuple[float, float, float]:
    """Return the processor seconds of labels, of classes, and of scikit-learn for the labels."""
    features, targets = training
    first = np.where((targets == 1).any(axis=1), (targets == 1).argmax(axis=1), 0)
    seconds, strength = [], 1.0
    for wanted in (targets, first):
        started = time.process_time()
        found = solve(ArrayRows(features), wanted, 10, class_weights=None, seed=0, reporter=Reporter())
        seconds.append(time.process_time() - started)
        strength = found.strength if wanted is targets else strength
    centred = coordinates(ArrayRows(features)).centred
    started = time.process_time()
    for truth in targets[:, BINARY.present(targets, 10)].T:
        known = truth >= 0
        LogisticRegression(C=strength, max_iter=1000, tol=1e-6).fit(centred[known], truth[known])
    return seconds[0], seconds[1], time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="*", default=[100, 300, 1000, 3000])
    parser.add_argument("--seeds", type=int, default=4)
    args = parser.parse_args()
    test = scenes(TEST_SCENES, 1000, slice(1200, None))
    print(f"| scenes | {' | '.join(RULES)} |\n|---|{'---|' * len(RULES)}")
    timed = {}
    for count in args.images:
        found = []
        for seed in range(args.seeds):
            features, targets = scenes(count, seed, slice(0, 1200))
            targets[np.random.default_rng(seed).random(targets.shape) < UNKNOWN] = -1
            with threadpool_limits(1), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append(compare((features, targets), test))
                timed.setdefault(count, []).append(costs((features, targets)))
        cells = [[statistics.mean(each[rule][kind] for each in found) for kind in (0, 1)] for rule in RULES]
        print(f"| {count} | {' | '.join(f'{precision:.3f}, {loss:.3f}' for precision, loss in cells)} |", flush=True)
    print("\n| scenes | labels | classes | scikit-learn, labels, one strength |\n|---|---|---|---|")
    for count, each in timed.items():
        print(f"| {count} | {' | '.join(f'{statistics.median(column):.2f} s' for column in zip(*each, strict=True))} |")


if __name__ == "__main__":
    main()
