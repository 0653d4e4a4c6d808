"""Error of estimates of the accuracy without labels, and coverage of their intervals, under shifts of real images.

Usage: python -m benchmarks.expected_accuracy WORK [--fashion DIR] [--vgg16-kernels FILE] [--cases NAME …] [--tuned]

WORK keeps the outputs of each network, which are computed again only if they are missing. Images: scikit-learn's digits
and Fashion-MNIST (DIR holds `train-images-idx3-ubyte.gz` and so on; Debian: dataset-fashion-mnist) at 32 x 32.
Networks: small_cnn, trained for a few epochs or too long, and VGG16 with the kernels of FILE, frozen, with a linear
head. In the cases with pairs, a class is two kinds of images, of which one is rare in training and held-out images.

Recent sets are 300 images that nobody trained on: under each of six corruptions at five strengths, with ten class
mixes, with ten mixes of the two kinds (subpopulation shift), and without a shift. For a corruption, the estimator knows
all other known shifts, but no strength of this one. Prints Markdown tables: mean absolute error of each estimate by
shift and by case, then share of the intervals that hold the truth, and their mean width. --tuned: only the cases that
the constants of `evaluation/monitoring` were chosen on; without it all others are judged alone, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.unknown import read, resized
from transfercli.evaluation.confidence.temperature import calibrated, choose_temperature
from transfercli.evaluation.monitoring.answered_images import AnsweredImages, LabelledAnswers
from transfercli.evaluation.monitoring.expected_accuracy import (
    AccuracyEstimator,
    Expectation,
    KnownShift,
    learn_known_shifts,
)
from transfercli.evaluation.monitoring.known_shifts import KNOWN_SHIFTS
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES

SIDE, RECENT, MIXES, UNSHIFTED = 32, 300, 10, 4
RARE = 0.12  # share of the rare kind that is kept in training and held-out images
SHIFTED = 100  # held-out images of each known shift, as `monitor` takes
FASHION = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class Case:
    """A network and its images: numbers of training, validation, test and recent ones."""

    images: str
    seed: int
    numbers: tuple[int, int, int, int]
    pairs: bool = False
    base: str = "small_cnn"
    epochs: int = 0


CASES = {
    "digits-2": Case("digits", 10, (700, 180, 270, 647), epochs=20),
    "fashion-2": Case("fashion", 11, (3000, 300, 300, 1200), epochs=12),
    "pairs-0": Case("fashion", 2, (1500, 300, 300, 1200), pairs=True, epochs=15),
    "digits-1": Case("digits", 1, (250, 100, 200, 1000), epochs=30),
    "over-0": Case("fashion", 6, (500, 150, 150, 1200), epochs=40),
    "vgg-0": Case("fashion", 4, (1000, 200, 200, 600), base="vgg16"),
    "pairs-d": Case("digits", 3, (450, 120, 180, 700), pairs=True, epochs=20),
}
TUNED = ("digits-2", "fashion-2", "pairs-0", "digits-1")


# -- outputs of the networks


def images_of(case: Case, fashion: Path, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return images, their kinds, and the rows of training, validation, test and recent images."""
    if case.images == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        images, kinds = resized((digits.images / 16 * 255).astype(np.uint8), SIDE), digits.target
        order = rng.permutation(len(images))
    else:
        all_images, all_kinds = read(fashion, "train")
        chosen = rng.permutation(len(all_images))[: sum(case.numbers) * (3 if case.pairs else 1)]
        images, kinds = resized(all_images[chosen], SIDE), all_kinds[chosen]
        order = np.arange(len(images))
    if case.pairs:
        frequent = rng.random(len(kinds)) < np.where(kinds < 5, 1.0, RARE)
        recent, rest = order[-case.numbers[3] :], order[: -case.numbers[3]]
        order = np.concatenate([rest[frequent[rest]][: sum(case.numbers[:3])], recent])
    order = order[: sum(case.numbers)]
    return images, kinds.astype(int), np.split(order, np.cumsum(case.numbers[:3]))


def compute(case: Case, fashion: Path, kernels: Path | None) -> dict[str, np.ndarray]:
    """Train the network, and return features `NAME_f` and logits `NAME_l` of all sets, classes and kinds."""
    import keras
    from sklearn.linear_model import LogisticRegression

    from transfercli.config.schema import HeadConfig
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier
    from transfercli.models.surgery import cut_after_base

    keras.utils.set_random_seed(case.seed)
    rng = np.random.default_rng(case.seed)
    images, kinds, (training, *others) = images_of(case, fashion, rng)
    classes = kinds % 5 if case.pairs else kinds
    names = tuple(map(str, range(len(np.unique(classes)))))
    classifier = build_classifier(Architecture(case.base, (SIDE, SIDE), 3, HeadConfig(), names))
    if case.base == "vgg16":
        classifier.base.load_weights(kernels)
        classifier.base.trainable = False
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        classifier.model.compile(keras.optimizers.Adam(1e-3), loss)
        classifier.model.fit(images[training], classes[training], epochs=case.epochs, batch_size=32, verbose=0)
    cut = cut_after_base(classifier)

    def features(pixels: np.ndarray) -> np.ndarray:
        return cut.prefix.predict(pixels, batch_size=64, verbose=0)

    solved = None
    if case.base == "vgg16":
        own = features(images[training])
        scale = own.std()
        solved = LogisticRegression(C=0.05, max_iter=300).fit(own / scale, classes[training])
    result: dict[str, np.ndarray] = {}
    for name, rows in zip(("val", "test", "pool"), others, strict=True):
        result |= {f"{name}_y": classes[rows], f"{name}_sub": kinds[rows]}
        sets = {"": images[rows]}
        for row in (CORRUPTIONS if name == "pool" else KNOWN_SHIFTS).values():
            for severity in SEVERITIES:
                sets[f"_{row.name}{severity}"] = row.batch(images[rows], np.arange(len(rows)), severity, case.seed)
        for suffix, pixels in sets.items():
            values = features(pixels)
            logits = cut.top.predict(values, batch_size=256, verbose=0) if solved is None else None
            if solved is not None:
                logits = values / scale @ solved.coef_.T + solved.intercept_
            result[f"{name}{suffix}_f"] = values.reshape(len(rows), -1).astype(np.float16)
            result[f"{name}{suffix}_l"] = np.asarray(logits, np.float32)
    return result


# -- recent sets and estimates


class Outputs:
    """Stored outputs of a case, as answers with calibrated probabilities."""

    def __init__(self, stored: dict[str, np.ndarray]) -> None:
        self.stored = stored
        self.temperature = choose_temperature(stored["val_l"].astype(float), stored["val_y"]).temperature

    def answers(self, names: Sequence[str]) -> LabelledAnswers:
        """Return the answers of several stored sets; names: such as `pool_blur3`."""
        logits, features = (np.concatenate([self.stored[f"{name}_{key}"] for name in names]) for key in "lf")
        probabilities = calibrated(logits.astype(float), self.temperature)
        answered = probabilities.argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])
        targets = np.concatenate([self.stored[f"{name.partition('_')[0]}_y"] for name in names])
        answers = AnsweredImages(probabilities, answered, features.astype(np.float32))
        return LabelledAnswers.of_targets(answers, targets.astype(np.int64))

    def known_shifts(self, left_out: str) -> list[KnownShift]:
        """Return the known shifts of held-out images, each of `SHIFTED` of them, without one corruption."""
        rng = np.random.default_rng(0)
        found = []
        for name in KNOWN_SHIFTS:
            for severity in SEVERITIES:
                answers = self.answers([f"{split}_{name}{severity}" for split in ("val", "test")])
                rows = np.sort(rng.permutation(len(answers))[:SHIFTED])
                if name != left_out:
                    found.append(KnownShift(name, answers.of_rows(rows)))
        return found

    def recent(self) -> Iterator[tuple[str, LabelledAnswers]]:
        """Yield kind and answers of the recent sets."""
        rng = np.random.default_rng(0)
        plain, kinds = self.answers(["pool"]), self.stored["pool_sub"]
        classes = plain.truth.shape[1]
        pairs = len(np.unique(kinds)) > classes
        usual = np.where(kinds < 5, 1.0, RARE) if pairs else np.ones(len(kinds))
        usual /= usual.sum()

        def draw(answers: LabelledAnswers, shares: np.ndarray, *, replace: bool) -> LabelledAnswers:
            number = RECENT if replace else min(RECENT, len(answers))
            return answers.of_rows(rng.choice(len(answers), number, replace=replace, p=shares / shares.sum()))

        for name in CORRUPTIONS:
            for severity in SEVERITIES:
                yield name, draw(self.answers([f"pool_{name}{severity}"]), usual, replace=pairs)
        targets = self.stored["pool_y"]
        frequency = np.bincount(targets, minlength=classes)[targets]
        for number in range(MIXES):
            mix = rng.dirichlet(np.full(classes, (0.3, 1.0)[number % 2]))
            yield "class mix", draw(plain, mix[targets] / frequency * usual, replace=True)
        for number in range(MIXES if pairs else 0):
            share = (number + 1) / MIXES
            yield "subpopulation", draw(plain, np.where(kinds < 5, 1 - share, share), replace=True)
        for _ in range(UNSHIFTED):
            yield "none", draw(plain, usual, replace=pairs)


@dataclass(frozen=True)
class Judged:
    """Expectation about one recent set, and the truth."""

    case: str
    kind: str
    truth: LabelledAnswers
    expectation: Expectation


def judge(name: str, outputs: Outputs) -> list[Judged]:
    """Return what is expected of all recent sets of a case."""
    held_out = outputs.answers(["val", "test"])
    estimators: dict[str, AccuracyEstimator] = {}
    found = []
    for kind, recent in outputs.recent():
        left_out = kind if kind in CORRUPTIONS else ""
        if left_out not in estimators:
            known = learn_known_shifts(held_out, outputs.known_shifts(left_out), 0)
            estimators[left_out] = AccuracyEstimator(held_out, known, 0)
        found.append(Judged(name, kind, recent, estimators[left_out].expect(recent.answers)))
    return found


# -- tables


def line(name: str, rows: Sequence[Judged], methods: Sequence[str]) -> str:
    """Return a row of the table: mean absolute error by method, coverage and width of the interval."""
    errors = [np.mean([abs(row.expectation.estimates[m] - row.truth.accuracy()) for row in rows]) for m in methods]
    intervals = [row.expectation.values["accuracy"].interval for row in rows]
    held = [low <= row.truth.accuracy() <= high for row, (low, high) in zip(rows, intervals, strict=True)]
    width = np.mean([high - low for low, high in intervals])
    cells = [*(f"{100 * error:.1f}" for error in errors), f"{np.mean(held):.0%}", f"{100 * width:.0f}", str(len(rows))]
    return f"| {name} | " + " | ".join(cells) + " |"


def metric_line(metric: str, rows: Sequence[Judged]) -> str:
    """Return a row of the table of other metrics: mean absolute error, coverage and width."""
    from transfercli.evaluation.monitoring.expected_metrics import metric_values

    errors, held, widths = [], [], []
    for row in rows:
        counts = row.truth.counts()
        one = type(counts)(counts.right[None], counts.predicted[None], counts.support[None])
        values = row.expectation.values
        names = [name for name in values if name == metric or name.startswith(f"{metric}[")]
        for name, truth in metric_values(one, float(len(row.truth)), names, several=False).items():
            found = values[name]
            if np.isfinite(truth[0]) and found.value is not None and found.interval is not None:
                errors.append(abs(found.value - truth[0]))
                held.append(found.interval[0] <= truth[0] <= found.interval[1])
                widths.append(found.interval[1] - found.interval[0])
    cells = (f"{100 * np.mean(errors):.1f}", f"{np.mean(held):.0%}", f"{100 * np.mean(widths):.0f}")
    return f"| {metric} | " + " | ".join(cells) + " |"


def print_tables(rows: Sequence[Judged]) -> None:
    methods = list(rows[0].expectation.estimates)
    print("| shift, case | " + " | ".join(m.replace("_", " ") for m in methods) + " | held | width | sets |")
    print("| --- |" + " ---: |" * (len(methods) + 3))
    kinds = [*CORRUPTIONS, "class mix", "subpopulation", "none"]
    groups = {kind: [row for row in rows if row.kind == kind] for kind in kinds}
    groups["all corruptions"] = [row for row in rows if row.kind in CORRUPTIONS]
    groups["all"] = list(rows)
    groups |= {case: [row for row in rows if row.case == case] for case in dict.fromkeys(row.case for row in rows)}
    groups["cases that chose nothing"] = [row for row in rows if row.case not in TUNED]
    groups["flagged as beyond known shifts"] = [row for row in rows if row.expectation.beyond_known]
    for name, chosen in groups.items():
        if chosen:
            print(line(name, chosen, methods))
    print("\n| metric | error | held | width |\n| --- | ---: | ---: | ---: |")
    for metric in ("accuracy", "balanced_accuracy", "macro_f1", "f1"):
        print(metric_line(metric, rows), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--fashion", type=Path, default=FASHION)
    parser.add_argument("--vgg16-kernels", type=Path)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--tuned", action="store_true")
    args = parser.parse_args()
    rows: list[Judged] = []
    for name in TUNED if args.tuned else args.cases:
        case, file = CASES[name], args.work / f"{name}.npz"
        if not file.exists():
            if case.base == "vgg16" and args.vgg16_kernels is None:
                print(f"{name} is left out: it needs --vgg16-kernels")
                continue
            np.savez(file, **compute(case, args.fashion, args.vgg16_kernels))
        rows += judge(name, Outputs(dict(np.load(file))))
    print_tables(rows)


if __name__ == "__main__":
    main()
