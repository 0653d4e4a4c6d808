"""Calibration and thresholds of labels, simulated with known truth.

Usage: python benchmarks/label_confidence.py [--draws 60]

The score of a label is normal, higher by 2.5 standard deviations for images that have it, so the true probabilities are
known. Logits are distorted as training distorts them: too large, or shifted by class weights (`pos_weight`), so that
positives weigh as much as negatives. Six labels have 1% to 50% positives. Prints two Markdown tables: the change of the
log loss on new images by calibration, and the F1 on new images of a threshold of 0.5, of `f1` and of `expected_f1`,
with the share of draws whose promised precision and recall new images reach.
"""

from __future__ import annotations

import argparse

import numpy as np

from transfercli.evaluation.confidence.thresholds import Rule, choose_threshold
from transfercli.evaluation.multilabel.calibration import fit_calibration
from transfercli.models.tasks.outputs import sigmoid

LABELS, SEPARATION, NEW_IMAGES = 6, 2.5, 4000
IMAGES = (20, 50, 100, 300, 1000)
MODELS = {"calibrated": (1.0, 0.0), "logits twice too large": (2.0, 0.0), "class weights": (1.0, 1.0)}
MODELS |= {"both": (1.6, 0.8)}
SHARES = (0.05, 0.2)
RULES: tuple[Rule, ...] = ("f1", "expected_f1", {"precision": 0.8}, {"recall": 0.9})


def drawn(rng: np.random.Generator, images: int, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return true logits and targets of labels with these shares of positives."""
    targets = (rng.random((images, len(shares))) < shares).astype(np.int64)
    scores = rng.normal(size=targets.shape) + SEPARATION * targets
    return SEPARATION * scores - SEPARATION**2 / 2 + np.log(shares / (1 - shares)), targets


def log_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    return float((np.logaddexp(0, logits) - targets * logits).mean())


def calibration_rows(draws: int) -> list[list[str]]:
    rows = []
    for name, (scale, shift) in MODELS.items():
        row = [name]
        for images in IMAGES:
            rng, changes = np.random.default_rng(0), []
            for _ in range(draws):
                shares = np.exp(rng.uniform(np.log(0.01), np.log(0.5), LABELS))
                odds = shift * np.log(shares / (1 - shares))
                logits, targets = drawn(rng, images, shares)
                fitted, _ = fit_calibration((logits - odds) * scale, targets)
                logits, targets = drawn(rng, NEW_IMAGES, shares)
                logits = (logits - odds) * scale
                changes.append(log_loss(fitted.of(logits), targets) / log_loss(logits, targets) - 1)
            row.append(f"{100 * np.mean(changes):+.1f}% ({100 * np.std(changes) / np.sqrt(draws):.1f})")
        rows.append(row)
    return rows


def threshold_rows(draws: int) -> list[list[str]]:
    rows = []
    for share in SHARES:
        for images in IMAGES[1:]:
            found = [_thresholds(np.random.default_rng(seed), images, share) for seed in range(draws)]
            f1, kept = (np.mean([one[part] for one in found], axis=0) for part in range(2))
            rows.append([f"{share:.0%}", str(images), *(f"{value:.3f}" for value in f1), *(f"{v:.0%}" for v in kept)])
    return rows


def _thresholds(rng: np.random.Generator, images: int, share: float) -> tuple[list[float], list[float]]:
    """Return the F1 at 0.5, `f1` and `expected_f1`, and 1 for each kept promise of `f1`, precision and recall."""
    logits, targets = drawn(rng, images, np.array([share]))
    targets[:2, 0] = 1, 0
    new, truth = drawn(rng, 20_000, np.array([share]))
    new, has = sigmoid(new)[:, 0], truth[:, 0] == 1
    choices = [choose_threshold(sigmoid(logits)[:, 0], targets[:, 0] == 1, rule) for rule in RULES]

    def quality(threshold: float) -> tuple[float, float, float]:
        answered = new >= threshold
        right = (answered & has).sum()
        return right / max(answered.sum(), 1), right / has.sum(), 2 * right / (answered.sum() + has.sum())

    plain, _, by_precision, by_recall = choices
    kept = [
        quality(plain.threshold)[0] >= (plain.promised_precision or 0),
        quality(plain.threshold)[1] >= (plain.promised_recall or 0),
        quality(by_precision.threshold)[0] >= (by_precision.promised_precision or 0),
        quality(by_recall.threshold)[1] >= (by_recall.promised_recall or 0),
    ]
    return [quality(0.5)[2], *(quality(one.threshold)[2] for one in choices[:2])], list(map(float, kept))


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=60)
    draws = parser.parse_args().draws
    print(table(["model", *(f"{images} images" for images in IMAGES)], calibration_rows(draws)))
    print()
    promises = ["`f1` precision", "`f1` recall", "`precision`", "`recall`"]
    print(table(["positives", "images", "F1 at 0.5", "`f1`", "`expected_f1`", *promises], threshold_rows(draws)))


if __name__ == "__main__":
    main()
