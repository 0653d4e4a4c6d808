"""Labels that chosen images save, and forecasts of what labels buy against what happened.

Usage: python -m benchmarks.labelling DATA --weights FILE [--size 64] [--seeds 5] [--part choice|forecast]
       [--methods NAME ...] [--features FILE]

DATA has train/CLASS and test/CLASS folders; FILE holds VGG16's kernels, as Keras stores them without the top. Features
are the averaged outputs of four stages, each normalised as in a multilayer head. Both folders are mixed and halved for
each seed: the pool, and the test images.

choice: from 1, 2 and 5 random labels a class, each method adds 2 a class at a time. The table has the labels a class
at which the mean accuracy reaches that of 20 random labels a class ("-": not within 20), and the accuracy at 10.
forecast: from 2, 5, 10, 20 and 50 labels a class, equal (even seeds) or random (odd seeds), the gain by half to five
times as many random labels is forecast and measured. The table has the share of intervals (nominal 90%) that hold it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from transfercli.reporting import Reporter
from transfercli.transfer.labelling.forecast import forecast
from transfercli.transfer.labelling.learning_curve import learning_curve
from transfercli.transfer.labelling.methods import METHODS
from transfercli.transfer.labelling.pool import Pool, narrowed
from transfercli.transfer.labelling.selection import select
from transfercli.transfer.probe.subsets import solve_subsets
from transfercli.workflows.data.next_choice import AUTO, method_for

LAYERS = ("block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")
STRENGTH = 30.0
STARTS, STEP, MOST, SHOWN = (1, 2, 5), 2, 20, 10  # labels a class
FORECAST, TIMES = (2, 5, 10, 20, 50), (0.5, 1, 2, 5)
WIDTH = 128  # of the features here, for speed


def features_of(data: Path, weights: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the normalised features of all images, float32 [N, D], and their classes, int [N]."""
    import keras
    from PIL import Image

    from transfercli.models.normalised import normalised

    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(size, size, 3))
    base.load_weights(str(weights))
    outputs = [keras.layers.GlobalAveragePooling2D()(base.get_layer(name).output) for name in LAYERS]
    network = keras.Model(base.input, keras.layers.Concatenate()(outputs))
    labels = sorted(path.name for path in (data / "train").iterdir())
    files = [(file, labels.index(file.parent.name)) for file in sorted(data.glob("t*/*/*")) if file.is_file()]
    images = [np.asarray(Image.open(file).convert("RGB").resize((size, size), 2), "float32") for file, _ in files]
    pixels = keras.applications.vgg16.preprocess_input(np.stack(images))
    found = network.predict(pixels, batch_size=32, verbose=0)
    widths = [output.shape[-1] for output in outputs]
    return normalised(found, widths, "root"), np.array([label for _, label in files])


def halves(features: np.ndarray, targets: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
    """Return features and targets of the pool and of the test images."""
    order = np.random.default_rng(seed).permutation(len(targets))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    return features[first], targets[first], features[second], targets[second]


def probabilities(features: np.ndarray, targets: np.ndarray, queries: np.ndarray, classes: int) -> np.ndarray:
    """Return the probabilities [M, C] of the queries by a head on all features."""
    ones = np.ones((1, len(targets)))
    (_, found), *_ = solve_subsets(features, targets, ones, queries, STRENGTH, Reporter())
    return np.pad(found, ((0, 0), (0, classes - found.shape[1])))


def accuracies(
    method: str, start: int, parts: tuple[np.ndarray, ...], seed: int, classes: int
) -> Iterator[tuple[int, float]]:
    """Yield the labels a class and the test accuracy of each round."""
    pool, targets, test, truth = parts
    order = np.random.default_rng(seed).permutation(len(targets))
    labelled = np.concatenate([order[targets[order] == label][:start] for label in range(classes)])
    while True:
        rest = np.setdiff1d(np.arange(len(targets)), labelled)
        found = probabilities(pool[labelled], targets[labelled], np.concatenate([test, pool[rest]]), classes)
        yield len(labelled) // classes, float((found[: len(test)].argmax(axis=1) == truth).mean())
        budget = min(STEP, MOST - len(labelled) // classes) * classes
        if budget <= 0:
            return
        counts = np.bincount(targets[labelled], minlength=classes)
        images = Pool(pool[rest], found[len(test) :], pool[labelled], counts)
        if method == "random":
            chosen = np.random.default_rng(seed + len(labelled)).permutation(len(rest))[:budget]
        else:
            name = method_for(method, images)
            chosen = select(images, budget, name, np.arange(len(rest)), seed, Reporter()).rows
        labelled = np.concatenate([labelled, rest[chosen]])


def choice(features: np.ndarray, targets: np.ndarray, seeds: int, methods: Sequence[str]) -> None:
    """Print the table of the methods."""
    classes = int(targets.max()) + 1
    parts = [halves(features, targets, seed) for seed in range(seeds)]
    print(f"\n| method | {' | '.join(f'from {start}: labels, accuracy at {SHOWN}' for start in STARTS)} |")
    print(f"| --- | {' | '.join('---' for _ in STARTS)} |", flush=True)
    goals: dict[int, float] = {}
    for method in ("random", *methods):
        cells = []
        for start in STARTS:
            runs = [dict(accuracies(method, start, parts[seed], seed, classes)) for seed in range(seeds)]
            sizes = sorted(runs[0])
            means = np.array([[run[size] for size in sizes] for run in runs]).mean(axis=0)
            goals.setdefault(start, float(means[-1]))
            reached = np.flatnonzero(means >= goals[start])
            needed = "-"
            if len(reached):  # between two rounds, on a straight line
                last = int(reached[0])
                needed = f"{np.interp(goals[start], means[last - 1 : last + 1], sizes[last - 1 : last + 1]):.1f}"
            cells.append(f"{needed}, {np.interp(SHOWN, sizes, means):.3f}")
        print(f"| {method} | {' | '.join(cells)} |", flush=True)
    print("\nThe accuracy of 20 random labels a class:", ", ".join(f"{goals[start]:.3f}" for start in STARTS))


def forecasts(features: np.ndarray, targets: np.ndarray, seeds: int) -> None:
    """Print the table of the forecasts."""
    classes = int(targets.max()) + 1
    print("\n| labels a class | forecasts | truth in interval | mean width | mean gain | mean forecast |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    every: list[tuple[bool, float, float, float]] = []
    for per_class in FORECAST:
        rows = []
        for seed in range(seeds):
            pool, labels, test, truth = halves(features, targets, 100 * per_class + seed)
            order = np.random.default_rng(seed).permutation(len(labels))
            first = order[: per_class * classes]
            if seed % 2 == 0:
                first = np.concatenate([order[labels[order] == label][:per_class] for label in range(classes)])
            curve = learning_curve(pool[first], labels[first], len(first), STRENGTH, seed, Reporter())
            if curve is None:
                continue
            rest, found = order[~np.isin(order, first)], forecast(curve, seed)

            def accuracy(chosen: np.ndarray, parts: tuple[np.ndarray, ...] = (pool, labels, test, truth)) -> float:
                given, known, queries, right = parts
                answers = probabilities(given[chosen], known[chosen], queries, classes)
                return float((answers.argmax(axis=1) == right).mean())

            before = accuracy(first)
            for count in (round(len(first) * times) for times in TIMES):
                if count <= len(rest):
                    happened, gain = accuracy(np.concatenate([first, rest[:count]])) - before, found.gain(count)
                    rows.append((gain.low <= happened <= gain.high, gain.high - gain.low, happened, gain.gain))
        every += rows
        _print_forecasts(str(per_class), rows)
    _print_forecasts("all", every)


def _print_forecasts(name: str, rows: list[tuple[bool, float, float, float]]) -> None:
    held, width, happened, gain = np.array(rows, float).mean(axis=0) if rows else np.full(4, np.nan)
    print(
        f"| {name} | {len(rows)} | {held:.1%} | {100 * width:.1f} | {100 * happened:+.1f} | {100 * gain:+.1f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=4000, help="most images: a random sample of more")
    parser.add_argument("--part", choices=("choice", "forecast"))
    parser.add_argument("--methods", nargs="+", default=[AUTO, *METHODS])
    parser.add_argument("--features", type=Path, help="a file that keeps the features for the next time")
    args = parser.parse_args()
    if args.features and args.features.exists():
        stored = np.load(args.features)
        features, targets = stored["features"], stored["targets"]
    else:
        features, targets = features_of(args.data, args.weights, args.size)
        if args.features:
            np.savez(args.features, features=features, targets=targets)
    some = np.random.default_rng(0).permutation(len(targets))[: args.images]
    features = narrowed(features[some], features[:0])[0][:, -WIDTH:]
    if args.part != "forecast":
        choice(features, targets[some], args.seeds, [name for name in args.methods if name != "random"])
    if args.part != "choice":
        forecasts(features, targets[some], args.seeds)


if __name__ == "__main__":
    main()
