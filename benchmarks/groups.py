"""Error rates of the statistics if images come in groups: intervals, promotions, drift and the probe, with and without
knowing the groups. Subjects are simulated, so the truth is known.

Usage: python -m benchmarks.groups [intervals promotion drift probe] [--trials N]

Prints one Markdown table for each part. `ignored` are the statistics of the same images without their groups, which is
what the program did before it knew them; `known` are those with groups. Seeds are fixed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.exact_tests import net_counts, sign_flip_p_value
from transfercli.evaluation.statistics.intervals import intervals
from transfercli.evaluation.statistics.promotion import compare_for_promotion, decide_promotion
from transfercli.evaluation.statistics.shift_tests import ModelOutputs, detect_shift

CLASSES = 2
ACCURACY = 0.9
# (images of a subject, correlation of the images of a subject)
DESIGNS = ((1, 0.0), (5, 0.0), (5, 0.5), (5, 0.8), (10, 0.0), (10, 0.5), (10, 0.8))
SUBJECTS = (10, 20, 50)
# A challenger with a larger exact p-value is never promoted, so the comparison is not computed.
HOPELESS = 0.2
MEASURED = ("accuracy", "macro_f1", "log_loss", "roc_auc", "recall[a]", "f1[a]")


@dataclass(frozen=True)
class Design:
    """A test set: subjects of one class each, images of each subject, and their correlation (of latent scores)."""

    subjects: int
    images: int
    correlation: float

    def __len__(self) -> int:
        return self.subjects * self.images

    @property
    def subject_of(self) -> np.ndarray:
        """int [N]."""
        return np.repeat(np.arange(self.subjects), self.images)

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(f"s{subject}" for subject in self.subject_of)

    def normal(self, rng: np.random.Generator, width: int | None = None) -> np.ndarray:
        """Return standard normal numbers, [N] or [N, width], with the correlation within each subject."""
        shape = () if width is None else (width,)
        shared, own = (rng.standard_normal((count, *shape)) for count in (self.subjects, len(self)))
        return np.sqrt(self.correlation) * shared[self.subject_of] + np.sqrt(1 - self.correlation) * own


def predictions(design: Design, rng: np.random.Generator, gain: float = 0.0) -> Predictions:
    """Return predictions of a model with an accuracy of ACCURACY + gain on new subjects."""
    from statistics import NormalDist

    margin = NormalDist().inv_cdf(ACCURACY + gain) + design.normal(rng)
    targets = design.subject_of % CLASSES
    true = 1 / (1 + np.exp(-2 * margin))
    probabilities = np.where(np.arange(CLASSES) == targets[:, None], true[:, None], 1 - true[:, None])
    paths = tuple(map(str, range(len(design))))
    return Predictions(paths, ("a", "b"), targets, probabilities, design.groups)


def truths() -> dict[str, float]:
    """Return each measured value on very many subjects."""
    many = predictions(Design(200_000, 1, 0.0), np.random.default_rng(1))
    values = {name: METRICS[name].function(many.targets, many.probabilities) for name in METRICS if name in MEASURED}
    return values | {"recall[a]": ACCURACY, "f1[a]": values["macro_f1"]}


def print_intervals(trials: int) -> None:
    """Print how often the 95% intervals hold the truth, and their mean width for accuracy."""
    truth = truths()
    header("subjects", "images of each", "correlation", "groups", *MEASURED, "width of accuracy's")
    for design in designs():
        for known in (False, True):
            held, widths = {name: list[bool]() for name in MEASURED}, []
            for trial in range(trials):
                drawn = predictions(design, np.random.default_rng([trial, 10]))
                groups = design.groups if known else ()
                found = intervals(drawn.targets, drawn.probabilities, drawn.labels, seed=trial, groups=groups)
                widths.append(found["accuracy"][1] - found["accuracy"][0])
                for name in MEASURED:
                    low, high = found.get(name, (0.0, np.inf))
                    held[name].append(low <= truth[name] <= high)
            row(*shown(design, known), *(f"{np.mean(held[name]):.1%}" for name in MEASURED), f"{np.mean(widths):.3f}")


def print_promotions(trials: int) -> None:
    """Print how often an equal, and a better, challenger is promoted."""
    header("subjects", "images of each", "correlation", "groups", "equal: promoted", "5 points better: promoted")
    for design in designs():
        for known in (False, True):
            shares = []
            for gain in (0.0, 0.05):
                promoted = 0
                for trial in range(trials):
                    rng = np.random.default_rng([trial, 20])
                    pair = [predictions(design, rng), predictions(design, rng, gain)]
                    if not known:
                        pair = [replace(each, groups=()) for each in pair]
                    if sign_flip_p_value(net_counts(pair[0], pair[1])) > HOPELESS:
                        continue
                    compared = compare_for_promotion(pair[0], pair[1], "accuracy", 0.95, trial)
                    promoted += decide_promotion(compared, [], 0.0).decision == "promoted"
                shares.append(f"{promoted / trials:.1%}")
            row(*shown(design, known), *shares)


WIDTH = 32  # features
SHIFT = 0.5  # of every feature of new subjects, in standard deviations
# (images of a reference subject, images of a recent one)
SIZES = ((1, 1), (5, 5), (10, 10), (10, 1), (2, 10))


def print_drift(trials: int) -> None:
    """Print how often drift is found without and with a drift of all features, in 20 recent subjects against 40."""
    names = ("classifier", "mmd", "class_mix", "confidence")
    columns = (*(f"{name} p <= 0.05" for name in names), "no drift: found", "drift: found")
    header("images of each", "recent images of each", "correlation", "groups", *columns)
    for images, recent_images in SIZES:
        for correlation in (0.0, 0.5, 0.8) if images > 1 else (0.0,):
            designs_of = Design(40, images, correlation), Design(20, recent_images, correlation)
            for known in (False, True):
                found = {
                    shift: [_shift(designs_of, known, trial, shift) for trial in range(trials)] for shift in (0, 1)
                }
                rejected = (np.mean([each["tests"][name]["p_value"] <= 0.05 for each in found[0]]) for name in names)
                drifted = (np.mean([each["drifted"] for each in found[shift]]) for shift in (0, 1))
                cells = (f"{share:.1%}" for share in (*rejected, *drifted))
                row(str(images), str(recent_images), f"{correlation:g}", "known" if known else "ignored", *cells)


def _shift(designs_of: tuple[Design, Design], known: bool, trial: int, shift: int) -> dict[str, Any]:
    rng, sets = np.random.default_rng([trial, 30]), []
    for index, design in enumerate(designs_of):
        features = design.normal(rng, WIDTH) + shift * SHIFT * index
        logits = 2 * features[:, :4]
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        groups = design.groups if known else ()
        sets.append(ModelOutputs(features.astype(np.float32), probabilities, groups, groups))
    return detect_shift(sets[0], sets[1], trial)


def designs() -> Iterator[Design]:
    for images, correlation in DESIGNS:
        for subjects in SUBJECTS:
            yield Design(subjects, images, correlation)


def shown(design: Design, known: bool) -> tuple[str, ...]:
    return str(design.subjects), str(design.images), f"{design.correlation:g}", "known" if known else "ignored"


def header(*names: str) -> None:
    row(*names)
    row(*("---" for _ in names))


def row(*cells: str) -> None:
    print("|", " | ".join(cells), "|", flush=True)


PARTS: dict[str, tuple[Callable[[int], None], int]] = {
    "intervals": (print_intervals, 1000),
    "promotion": (print_promotions, 1000),
    "drift": (print_drift, 200),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=list(PARTS))
    parser.add_argument("--trials", type=int, help="of each row, instead of the default of the part")
    args = parser.parse_args()
    for name in args.parts:
        function, trials = PARTS[name]
        print(f"\n{name}, {args.trials or trials} trials\n")
        function(args.trials or trials)


if __name__ == "__main__":
    main()
