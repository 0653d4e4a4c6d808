"""Score of the best of many models on the images that chose it, and five corrections, with known truth.

Usage: python -m benchmarks.sweep_honesty [--draws 200] [--resamples 300]

A draw has T models with known accuracies and N images of which each model classifies some correctly. 70% of the
variance of an image's difficulty is the same for all models, so that they make most of their mistakes together, as
trials of a sweep do. The best model on the N images is chosen, and each method says how accurate it is. The tables give
the mean error of that in points (100 times accuracy), and the root of the mean squared error in brackets: even a score
without a bias has the noise of N images. The second table gives how often the 95% interval holds the true accuracy, how
often the really best model is among those that are called indistinguishable from the winner, and how many these are.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from transfercli.evaluation.metrics.confusion import Array
from transfercli.evaluation.statistics.selection import Answers, select

SHARED = 0.7
FOLDS = 10
NORMAL = NormalDist()


def _equal(models: int, rng: np.random.Generator) -> Array:
    return np.full(models, 0.8)


def _nearly_equal(models: int, rng: np.random.Generator) -> Array:
    return 0.8 + 0.01 * rng.standard_normal(models)


def _spread(models: int, rng: np.random.Generator) -> Array:
    return 0.82 - np.abs(0.05 * rng.standard_normal(models))


def _bad_ones(models: int, rng: np.random.Generator) -> Array:
    return np.clip(0.82 - 0.03 * rng.exponential(size=models) ** 2, 0.1, None)


def _one_best(models: int, rng: np.random.Generator) -> Array:
    return np.r_[0.9, np.full(models - 1, 0.8)]


SITUATIONS: dict[str, Callable[[int, np.random.Generator], Array]] = {
    "all equal": _equal,
    "nearly equal": _nearly_equal,
    "spread": _spread,
    "some bad": _bad_ones,
    "one clearly best": _one_best,
}


def right_answers(accuracies: Array, images: int, rng: np.random.Generator) -> Array:
    """Return float64 [N, T], 1 if a model classifies an image correctly."""
    limits = np.array([NORMAL.inv_cdf(value) for value in accuracies])
    common = rng.standard_normal((images, 1)) * np.sqrt(SHARED)
    own = rng.standard_normal((images, len(accuracies))) * np.sqrt(1 - SHARED)
    return (common + own < limits).astype(np.float64)


# -- other corrections of the score of the best model


def bootstrap_optimism(right: Array, rng: np.random.Generator, resamples: int) -> float:
    """Correct by the mean fall of the model chosen on a resample, from the resample to all images (Efron 1983)."""
    images = len(right)
    weights = rng.multinomial(images, np.full(images, 1 / images), size=resamples)
    inside, scores = np.round(weights @ right / images, 9), right.mean(axis=0)
    chosen = inside.argmax(axis=1)
    return float(scores.max() - (inside[np.arange(resamples), chosen] - scores[chosen]).mean())


def cross_validated_choice(right: Array, rng: np.random.Generator, resamples: int) -> float:
    """Score each fold by the model chosen on the other folds, with several divisions into folds."""
    scores = []
    for _ in range(max(1, resamples // (2 * FOLDS))):
        sums, sizes = _folds(right, rng)
        chosen = ((sums.sum(axis=0) - sums) / (len(right) - sizes)).argmax(axis=1)
        scores.append(sums[np.arange(FOLDS), chosen].sum() / len(right))
    return float(np.mean(scores))


def fold_minima(right: Array, rng: np.random.Generator, resamples: int) -> float:
    """Correct by the mean lead of each fold's best model over the winner there (Tibshirani & Tibshirani 2009)."""
    sums, sizes = _folds(right, rng)
    shares, winner = sums / sizes, right.mean(axis=0).argmax()
    return float(right.mean(axis=0).max() - (shares.max(axis=1) - shares[:, winner]).mean())


def shrinkage(right: Array, rng: np.random.Generator, resamples: int) -> float:
    """Shrink the best score to the mean of all, as if the true scores were normally distributed (empirical Bayes)."""
    scores = right.mean(axis=0)
    noise = float(((right - right.mean(axis=1, keepdims=True)).var(axis=0, ddof=1) / len(right)).mean())
    signal = max(0.0, float(scores.var(ddof=1)) - noise)
    return float(scores.mean() + (scores.max() - scores.mean()) * signal / (signal + noise))


def _folds(right: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the sums of each fold, [FOLDS, T], and its number of images, [FOLDS, 1]."""
    fold = np.empty(len(right), int)
    fold[rng.permutation(len(right))] = np.arange(len(right)) % FOLDS
    sums = np.stack([right[fold == number].sum(axis=0) for number in range(FOLDS)])
    return sums, np.bincount(fold, minlength=FOLDS)[:, None].astype(np.float64)


OTHERS = {
    "bootstrap optimism": bootstrap_optimism,
    "cross-validated choice": cross_validated_choice,
    "Tibshirani": fold_minima,
    "shrinkage": shrinkage,
}


def simulate(
    situation: str, models: int, images: int, draws: int, resamples: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the errors of each method in points, and what else is measured, of each draw."""
    errors, measured = defaultdict(list), defaultdict(list)
    for draw in range(draws):
        rng = np.random.default_rng([draw, images, models])
        accuracies = SITUATIONS[situation](models, rng)
        right = right_answers(accuracies, images, rng)
        targets = np.zeros(images, np.int64)
        chosen = select(Answers(targets, 1 - right.astype(int), 1 - right, 2), "val_accuracy", draw, resamples)
        truth = accuracies[chosen.best]
        estimates = {"naive": chosen.naive, "used here": chosen.corrected}
        estimates |= {name: method(right, rng, resamples) for name, method in OTHERS.items()}
        for name, value in estimates.items():
            errors[name].append(100 * float(value - truth))
        assert chosen.interval is not None
        measured["held"].append(chosen.interval[0] <= truth <= chosen.interval[1])
        measured["best"].append(bool(chosen.plausible[accuracies.argmax()]))
        measured["many"].append(int(chosen.plausible.sum()))
    return errors, measured


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--models", type=int, nargs="*", default=[8, 64])
    parser.add_argument("--images", type=int, nargs="*", default=[40, 200, 1000])
    arguments = parser.parse_args()
    names = ("naive", "used here", *OTHERS)
    second = ["| models | images | truth | interval holds | best is in the set | models in the set |"]
    second.append("| ---: | ---: | --- | ---: | ---: | ---: |")
    print(f"| models | images | truth | {' | '.join(names)} |")
    print(f"| ---: | ---: | --- | {' | '.join('---:' for _ in names)} |")
    for models in arguments.models:
        for images in arguments.images:
            for situation in SITUATIONS:
                errors, measured = simulate(situation, models, images, arguments.draws, arguments.resamples)
                cells = [
                    f"{np.mean(errors[name]):+.1f} ({np.sqrt(np.mean(np.square(errors[name]))):.1f})" for name in names
                ]
                print(f"| {models} | {images} | {situation} | {' | '.join(cells)} |", flush=True)
                held, best, many = (float(np.mean(measured[name])) for name in ("held", "best", "many"))
                second.append(f"| {models} | {images} | {situation} | {held:.0%} | {best:.0%} | {many:.1f} |")
    print("\n" + "\n".join(second))


if __name__ == "__main__":
    main()
