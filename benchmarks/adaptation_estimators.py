"""Estimates of the gain of an alignment without labels of the target, beside its true gain.

Usage: python -m benchmarks.adaptation_estimators FEATURES [--bases BASE …] [--seeds 3]

FEATURES is the folder that `benchmarks/adaptation.py` filled for Fashion-MNIST, emoji and clip art. Each pair of
domains is aligned with `moments`, as `transfer.align: auto` does. The estimates, above 0 if they would align:

- program: what `transfer.align: auto` decides, by the next one and the share of predictions that change
- information: rise of the mutual information of the target's images and predicted classes
- entropy: fall of the mean entropy of the predictions
- IWCV: fall of the importance-weighted cross-validated log loss (Sugiyama et al. 2007), the weights from a classifier
  of the two domains on the base's output
- DEV: the same with a control variate (You et al. 2019)

Prints for each group of pairs Spearman's rank correlation of estimate and true gain, and of the rule that aligns where
the estimate is above 0: mean gain, worst loss, and how often it is right. It is right if it aligns and loses less than
a point, or does not and misses less than one. Pairs whose domains the program finds to be one are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from benchmarks.adaptation import POINT, SETTINGS, SIZES, drawn_pair
from transfercli.models.normalised import normalised
from transfercli.reporting import Reporter
from transfercli.transfer.adapt.adapt import adapt
from transfercli.transfer.adapt.another_domain import information
from transfercli.transfer.adapt.domain import Adaptation, logits_of
from transfercli.transfer.probe.cross_validation import cross_validate
from transfercli.transfer.probe.multilayer import solve_layers

# Source, target, other shares of the classes, labelled images a class: none is in `SETTINGS`.
OTHERS = (
    ("google", "apple", False, 30),
    ("facebook", "twitter", False, 30),
    ("twitter", "facebook", True, 30),
    ("clipart", "twitter", False, 30),
    ("clipart", "apple", True, 30),
    ("google", "clipart", False, 30),
    ("facebook", "clipart", True, 30),
    ("inverted", "rotation", False, 20),
    ("contrast", "blur", False, 20),
    ("noise", "clean", True, 20),
)


def density_ratios(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the density of the target over that of the source at the source's images, float64 [N], out of fold."""
    rows = np.concatenate([source, target])
    rows = rows - rows.mean(axis=0)
    rows /= np.sqrt((rows**2).sum(axis=1).mean())
    domain = np.repeat([0, 1], [len(source), len(target)])
    classifier = LogisticRegression(C=1.0, max_iter=200)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    chance = cross_val_predict(classifier, rows, domain, cv=folds, method="predict_proba")[: len(source), 1]
    ratios: np.ndarray = chance / (1 - chance) * len(source) / len(target)
    return ratios


def risks(adapted: Adaptation, target: np.ndarray) -> dict[str, float]:
    """Return estimates of a head's risk in the target, of normalised features [M, D] of it; the less, the better."""
    problem, layers = adapted.problem, adapted.layers
    logits = logits_of(solve_layers(problem, layers, Reporter()), target)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    losses = cross_validate(problem, layers, Reporter()).losses
    output = layers.part(len(layers.names) - 1)
    source = problem.features.read(np.arange(len(problem.targets)))
    ratios = density_ratios(source[:, output], target[:, output])
    weighted = losses * ratios
    control = -np.cov(weighted, ratios)[0, 1] / ratios.var(ddof=1)
    return {
        "information": -information(logits),
        "entropy": float(-(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1).mean()),
        "IWCV": float(weighted.sum() / ratios.sum()),
        "DEV": float(weighted.mean() + control * (ratios.mean() - 1)),
    }


def estimated(folder: Path, base: str, setting: tuple[str, str, bool, int], seed: int) -> dict[str, float] | None:
    """Return the true gain of an alignment and the estimates of it; None if the domains are found to be one."""
    problem, layers, unlabelled, (features, truth) = drawn_pair(folder, base, setting, seed)
    plain = adapt(problem, layers, unlabelled, None, "none")
    if plain.decision.case == "same domain":
        return None
    aligned = adapt(problem, layers, unlabelled, None, "moments")
    target, test = (normalised(rows, layers.widths, layers.normalisation) for rows in (unlabelled.array, features))
    before, after = (risks(each, target) for each in (plain, aligned))
    accuracies = [
        float((logits_of(solve_layers(each.problem, each.layers, Reporter()), test).argmax(axis=1) == truth).mean())
        for each in (plain, aligned)
    ]
    decided = adapt(problem, layers, unlabelled, None, "auto").decision.chosen != "none"
    estimates = {name: before[name] - after[name] for name in before}
    return {"gain": accuracies[1] - accuracies[0], "program": 1.0 if decided else -1.0, **estimates}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("--bases", nargs="*", default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    print("| pairs | estimate | rank correlation | mean gain, points | worst | right |")
    print("|---|---|---|---|---|---|")
    for group, settings in (("of the table of shifts", SETTINGS), ("others", OTHERS)):
        every = [
            estimated(args.features, base, setting, seed)
            for base in args.bases
            for setting in settings
            for seed in range(args.seeds)
        ]
        found = [each for each in every if each is not None]
        gains = np.array([each["gain"] for each in found])
        for name in [key for key in found[0] if key != "gain"]:
            values = np.array([each[name] for each in found])
            aligns = values > 0
            right = np.where(aligns, gains > -POINT, gains < POINT)
            kept = np.where(aligns, gains, 0)
            rank = "" if name == "program" else f"{spearmanr(values, gains)[0]:.2f}"
            print(
                f"| {group} ({len(found)}) | {name} | {rank} | {100 * kept.mean():.1f}"
                f" | {100 * kept.min():+.1f} | {right.sum()} of {len(found)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
