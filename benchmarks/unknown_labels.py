"""AUROC of out-of-distribution scores for images of several labels: scenes with a digit that no training scene has.

Usage: python benchmarks/unknown_labels.py [--scenes 800] [--seeds 2]

The scenes and their features are those of `label_probe.py`. For each pair of digits that is left out, scenes of the
other eight are known, and those that also have one of the pair are unknown. Prints a Markdown table: the AUROC of each
score, and of the one that would be chosen by leaving out known labels, as is done for classes.
"""

from __future__ import annotations

import argparse

import numpy as np
from label_probe import scenes

from transfercli.models.unknown.score import energies
from transfercli.transfer.unknown.choice import auroc, fit_head, separations
from transfercli.transfer.unknown.fit import DEFAULT, SCORES, Known, fit_score, fit_space

PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))


def measure(pair: tuple[int, int], count: int, seed: int) -> dict[str, float]:
    """Return score, or `chosen`, -> AUROC of unknown scenes against known ones."""
    pools = []
    for number, part in enumerate((slice(0, 900), slice(900, 1300), slice(1300, None))):
        features, targets = scenes(4 * count if number == 2 else 2 * count, 10 * seed + number, part)
        strange = targets[:, pair].any(axis=1)
        pools.append((features, targets, strange))
    known = [(features[~strange][:count], targets[~strange][:count]) for features, targets, strange in pools]
    unknown = pools[2][0][pools[2][2]][:count]
    space = fit_space(*known[0], seed)
    kernel, bias = fit_head(space.coordinates(known[0][0]), known[0][1])

    def as_known(features: np.ndarray, targets: np.ndarray) -> Known:
        return Known(features, energies(space.coordinates(features) @ kernel + bias), targets)

    training, validation, test = (as_known(*each) for each in known)
    others = as_known(unknown, np.zeros((len(unknown), 10), int))
    found = {}
    for name in SCORES:
        score = fit_score(name, space, validation)
        values = [score.scores(each.features, each.energy) for each in (test, others)]
        found[name] = auroc(*values)
    table = separations(training, validation, seed)
    best = max(SCORES, key=lambda name: float(np.mean(table[name])))
    gains = np.subtract(table[best], table[DEFAULT])
    chosen = best if gains.mean() > gains.std(ddof=1) / len(gains) ** 0.5 else DEFAULT
    return found | {"chosen": found[chosen]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    found = [measure(pair, args.scenes, seed) for pair in PAIRS for seed in range(args.seeds)]
    print("| score | mean AUROC | least |\n|---|---|---|")
    for name in (*SCORES, "chosen"):
        values = [each[name] for each in found]
        print(f"| {name} | {np.mean(values):.3f} | {min(values):.3f} |")


if __name__ == "__main__":
    main()
