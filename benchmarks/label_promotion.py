"""False and true promotions with several labels per image: `python -m benchmarks.label_promotion`.

Two models answer the same simulated images, of which each has any of five labels, one of them rare. The logit of a
model is its skill for images that have the label, minus it for others, plus noise of which a half is common to both
models, as both find the same images hard. Equal models have one skill; in the second block of the table the second
model has logits of three times the size, so that answers are no longer exchangeable although both rank alike; a better
model has a higher skill. The rule is that of `retrain` for one night: the interval of the paired bootstrap and the
share of random swaps, each at 5%.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.statistics.permutation_test import permutation_p_value
from transfercli.evaluation.statistics.promotion import compare_for_promotion, decide_promotion

TRIALS, IMAGES = 120, 150
FREQUENCIES = np.array([0.5, 0.4, 0.3, 0.2, 0.05])
LABELS = ("a", "b", "c", "d", "rare")
METRICS = ("map", "macro_f1", "subset_accuracy")
KINDS = {"equal": (1.0, 1.0), "equal, other scale": (1.0, 3.0), "better": (1.12, 1.0)}  # skill, scale of the challenger


def answers(images: int, skill: float, scale: float, seed: int) -> tuple[LabelPredictions, LabelPredictions]:
    """Return the answers of a champion of skill 1 and of a challenger."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((images, len(LABELS))) < FREQUENCIES).astype(np.int64)
    common = rng.normal(size=targets.shape)
    models = []
    for own_skill, own_scale in ((1.0, 1.0), (skill, scale)):
        noise = np.sqrt(0.5) * (common + rng.normal(size=targets.shape))
        logits = own_scale * (own_skill * (2 * targets - 1) + noise)
        probabilities = 1 / (1 + np.exp(-logits))
        paths = tuple(map(str, range(images)))
        models.append(LabelPredictions(paths, LABELS, targets, probabilities, np.full(len(LABELS), 0.5)))
    return models[0], models[1]


def promotions(kind: str, images: int, trials: int) -> dict[str, float]:
    """Return the share of trials in which the challenger is promoted by each metric."""
    skill, scale = KINDS[kind]
    promoted = dict.fromkeys(METRICS, 0)
    for seed in range(trials):
        models = answers(images, skill, scale, seed)
        compared = compare_for_promotion(*models, METRICS[0], 0.95, seed)
        for metric in METRICS:  # the resamples are those of all metrics
            decided = replace(compared, metric=metric, by_chance=permutation_p_value(*models, metric, seed))
            promoted[metric] += decide_promotion(decided, [], 0.0).decision == "promoted"
    return {metric: number / trials for metric, number in promoted.items()}


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    print(f"| challenger, {IMAGES} test images | {' | '.join(METRICS)} |")
    print(f"| --- | {' | '.join('---' for _ in METRICS)} |")
    for kind in KINDS:
        shares = promotions(kind, IMAGES, trials)
        print(f"| {kind} | {' | '.join(f'{share:.1%}' for share in shares.values())} |", flush=True)


if __name__ == "__main__":
    main()
