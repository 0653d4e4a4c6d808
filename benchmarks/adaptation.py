"""Adaptation to unlabelled images of another domain: gain, worst loss, and how often its decision was right.

Usage: python benchmarks/adaptation.py FEATURES [--fashion DIR] [--domains DIR …] [--weights BASE=FILE …]
                                       [--bases BASE …] [--seeds 3] [--tables shifts labels spread related]

FEATURES holds `BASE_DOMAIN.npz`, the pooled features of the taps and the output of a base (real weights) for images of
one domain; what is missing there is computed first. `--fashion` is a folder CLASS/*.png of Fashion-MNIST, from which
the domain `clean` and five shifts of its pixels come; each of `--domains` a folder DOMAIN/{train,test}/CLASS/*.png.
A setting draws, by its seed, 20 or 30 labelled images a class from the source, and unlabelled and test images from the
target, none of which shares a picture with another. `shares`: in the target, some classes are up to 20 times rarer.
Table `labels`: unlabelled images of the same domain, beside 5 and 20 labels a class; `spread`: what labels that
spread to them would bring if no rule kept them back. Table `related`: labels of another domain beside 1, 3, 5 and 20 of
the target. The worst seed has its standard error, from the images on which the two heads differ. A decision is right if
it adapts and loses less than a point, or leaves the head as it is and an alignment gains less than one.
Prints Markdown; nothing depends on the machine but the last digits.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from transfercli.models.normalised import normalised
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.adapt.adapt import adapt
from transfercli.transfer.adapt.decision import Decision
from transfercli.transfer.adapt.domain import RelatedRows, logits_of
from transfercli.transfer.adapt.same_domain import SpreadLabels
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem, solve_layers

SIZES = {"vgg16": 64, "efficientnet_lite0": 96}
FASHION = 240  # images a class
POINT = 0.01
FEWER = (1, 0.1, 1, 0.3, 1, 0.05, 0.5, 1, 0.2, 0.6)  # share of the target's images that a class keeps
# Source, target, other shares of the classes, labelled images a class.
SETTINGS = (
    *(("clean", shift, False, 20) for shift in ("noise", "rotation", "inverted", "blur", "contrast")),
    ("clean", "clean", False, 20),
    ("clean", "clean", True, 20),
    ("clean", "noise", True, 20),
    ("rotation", "clean", True, 20),
    ("apple", "google", False, 30),
    ("apple", "twitter", True, 30),
    ("clipart", "google", False, 30),
    ("apple", "apple", True, 30),
)
SAME_DOMAIN = tuple((domain, domain, False, count) for domain in ("clean", "clipart") for count in (5, 20))
SPREAD = tuple((domain, domain, False, 5) for domain in ("clean", "noise", "apple", "twitter", "clipart"))
# Target, related domain, labels a class of the target.
RELATED = tuple(
    (target, other, count) for target, other in (("google", "clipart"), ("twitter", "apple")) for count in (1, 3, 5, 20)
)
Test = tuple[np.ndarray, np.ndarray]  # features and classes
Shift = Callable[[Image.Image, np.random.Generator], Image.Image]


def noisy(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image, float)
    return Image.fromarray(np.clip(pixels + rng.normal(0, 60, pixels.shape), 0, 255).astype("uint8"))


SHIFTS: dict[str, Shift] = {
    "clean": lambda image, _: image,
    "noise": noisy,
    "rotation": lambda image, rng: image.rotate(rng.uniform(-60, 60), Image.Resampling.BILINEAR),
    "inverted": lambda image, _: Image.fromarray(255 - np.asarray(image)),
    "blur": lambda image, _: image.filter(ImageFilter.GaussianBlur(3)),
    "contrast": lambda image, _: Image.fromarray((np.asarray(image, float) * 0.25 + 90).astype("uint8")),
}


def network(base: str, weights: Path) -> tuple[Any, tuple[str, ...]]:
    """Return the model from pixels to the pooled features of all layers that a head reads, and their names."""
    import keras

    from transfercli.config.schema import FileWeights, HeadConfig
    from transfercli.models.architecture import Architecture
    from transfercli.models.bases import BASES
    from transfercli.models.classifier import build_classifier
    from transfercli.models.preprocessing import preprocess
    from transfercli.models.weights.pretrained import file_tensors
    from transfercli.transfer.transplant import transplant

    size = SIZES[base]
    classifier = build_classifier(Architecture(base, (size, size), 3, HeadConfig(taps="stages"), ("a", "b")))
    transplant(classifier, file_tensors(FileWeights(path=str(weights)), base, classifier.base, Reporter()).tensors)
    image = keras.Input((size, size, 3), dtype="uint8")
    maps = classifier.trunk(preprocess(image, BASES[base].preprocessing, 3))
    pooled = [keras.layers.GlobalAveragePooling2D()(each) for each in maps]
    return keras.Model(image, pooled), (*classifier.taps, "output")


def opened(path: Path, size: int) -> Image.Image:
    """Return an RGB image on white, resized to a square."""
    image = Image.open(path).convert("RGBA")
    on_white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return on_white.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)


def domains_of(fashion: Path | None, folders: list[Path]) -> dict[str, tuple[list[tuple[Path, int]], Shift]]:
    """Return the files of each domain with their classes, in an order that is the same for all, and its shift."""
    found: dict[str, tuple[list[tuple[Path, int]], Shift]] = {}
    if fashion:
        classes = sorted(path for path in fashion.iterdir() if path.is_dir())
        files = [(file, c) for c, folder in enumerate(classes) for file in sorted(folder.iterdir())[:FASHION]]
        found |= {name: (files, shift) for name, shift in SHIFTS.items()}
    classes_of = [{path.name for path in folder.glob("train/*")} for folder in folders]
    shared = set.intersection(*classes_of) if classes_of else ()
    for folder in folders:
        files = []
        for c, name in enumerate(sorted(shared)):
            images = [*folder.glob(f"train/{name}/*.png"), *folder.glob(f"test/{name}/*.png")]
            files += [(file, c) for file in sorted(images, key=lambda path: path.name)]
        found[folder.name] = files, SHIFTS["clean"]
    return found


def store_features(folder: Path, weights: dict[str, Path], fashion: Path | None, folders: list[Path]) -> None:
    """Compute the features of the domains that FEATURES lacks."""
    for base, path in weights.items():
        model, names = network(base, path)
        for domain, (files, shift) in domains_of(fashion, folders).items():
            out = folder / f"{base}_{domain}.npz"
            if out.exists():
                continue
            rng = np.random.default_rng(0)
            pixels = np.stack([np.asarray(shift(opened(file, SIZES[base]), rng)) for file, _ in files])
            features = model.predict(pixels, batch_size=32, verbose=0)
            np.savez(out, y=np.array([c for _, c in files]), **dict(zip(names, features, strict=True)))


def read(folder: Path, base: str, domain: str) -> tuple[np.ndarray, np.ndarray, FeatureLayers]:
    """Return features float32 [N, D], classes int [N], and the layers."""
    stored = np.load(folder / f"{base}_{domain}.npz")
    names = [name for name in stored.files if name != "y"]
    layers = FeatureLayers(tuple(names), tuple(stored[name].shape[1] for name in names), "root")
    return np.concatenate([stored[name] for name in names], axis=1).astype(np.float32), stored["y"], layers


def drawn(
    targets: np.ndarray, part: tuple[float, float], seed: int, most: int, shares: tuple[float, ...]
) -> np.ndarray:
    """Return indices of images of each class from a part of its random order; shares: of these that a class keeps."""
    chosen = []
    for c in range(int(targets.max()) + 1):
        images = np.flatnonzero(targets == c)
        order = images[np.random.default_rng(1000 * seed + c).permutation(len(images))]
        some = order[int(part[0] * len(order)) : int(part[1] * len(order))][:most]
        chosen.append(some[: max(1, int(shares[c] * len(some)))])
    return np.concatenate(chosen)


def hits(problem: LinearProblem, layers: FeatureLayers, test: Test) -> np.ndarray:
    """Return for each test image 1.0 if the head of a problem with normalised features is right, else 0.0."""
    return (logits_of(solve_layers(problem, layers, Reporter()), test[0]).argmax(axis=1) == test[1]).astype(float)


def compared(problem: LinearProblem, layers: FeatureLayers, test: Test, **images: Any) -> dict[str, Any]:
    """Return the hits of the head without and with adaptation to some images, and the decision."""
    test = normalised(test[0], layers.widths, layers.normalisation), test[1]
    adapted = adapt(problem, layers, images.get("unlabelled"), images.get("related"), "auto")
    without = hits(adapt(problem, layers, None, None, "auto").problem, adapted.layers, test)
    with_ = without if adapted.decision.chosen == "none" else hits(adapted.problem, adapted.layers, test)
    missed = 0.0
    if adapted.decision.case == "another domain" and adapted.decision.chosen == "none":
        forced = adapt(problem, layers, images["unlabelled"], None, "moments")
        missed = float(hits(forced.problem, forced.layers, test).mean() - without.mean())
    return {"without": without, "with": with_, "decision": adapted.decision, "missed": missed}


def drawn_pair(
    folder: Path, base: str, setting: tuple[str, str, bool, int], seed: int
) -> tuple[LinearProblem, FeatureLayers, ArrayRows, Test]:
    """Return the problem of the source's labelled images and its layers, and the target's unlabelled and test images.

    All features are before normalisation.
    """
    source, target, other_shares, labelled = setting
    features, classes, layers = read(folder, base, source)
    of_target, truth, _ = read(folder, base, target)
    even = (1.0,) * len(FEWER)
    own = drawn(classes, (0, 0.4), seed, labelled, even)
    shares = FEWER if other_shares else even
    unlabelled, test = (drawn(truth, part, seed, 10**6, shares) for part in ((0.4, 0.7), (0.7, 1)))
    problem = LinearProblem(ArrayRows(features[own]), classes[own], int(classes.max()) + 1, None, seed)
    return problem, layers, ArrayRows(of_target[unlabelled]), (of_target[test], truth[test])


def measure(folder: Path, base: str, setting: tuple[str, str, bool, int], seed: int) -> dict[str, Any]:
    """Return the effect of unlabelled images of the target on a head of the source."""
    problem, layers, unlabelled, test = drawn_pair(folder, base, setting, seed)
    return compared(problem, layers, test, unlabelled=unlabelled)


def measure_related(folder: Path, base: str, setting: tuple[str, str, int], seed: int) -> dict[str, Any]:
    """Return the effect of labelled images of another domain on a head of few labels of the target."""
    target, other, labelled = setting
    features, classes, layers = read(folder, base, target)
    of_other, labels, _ = read(folder, base, other)
    even = (1.0,) * len(FEWER)
    own, test = drawn(classes, (0, 0.4), seed, labelled, even), drawn(classes, (0.7, 1), seed, 10**6, even)
    more = drawn(labels, (0.4, 0.7), seed, 10**6, even)
    problem = LinearProblem(ArrayRows(features[own]), classes[own], int(classes.max()) + 1, None, seed)
    related = RelatedRows(ArrayRows(of_other[more]), labels[more], np.zeros(len(more), np.int64))
    return compared(problem, layers, (features[test], classes[test]), related=related)


def measure_spread(folder: Path, base: str, setting: tuple[str, str, bool, int], seed: int) -> dict[str, Any]:
    """Return the effect of labels that spread to unlabelled images of the same domain, if nothing forbids it."""
    problem, layers, unlabelled, test = drawn_pair(folder, base, setting, seed)
    plain = adapt(problem, layers, None, None, "auto")
    test = normalised(test[0], layers.widths, layers.normalisation), test[1]
    spread = SpreadLabels(plain.problem, normalised(unlabelled.array, layers.widths, layers.normalisation))
    every = np.ones(len(problem.targets), bool)
    confidence = float(spread.labels(every)[1].mean())
    with_ = hits(spread.problem(every), plain.layers, test)
    decision = Decision("same domain", "propagation", "")
    without = hits(plain.problem, plain.layers, test)
    return {"without": without, "with": with_, "decision": decision, "confidence": confidence}


Measured = Callable[[Path, str, Any, int], dict[str, Any]]
TABLES: dict[str, tuple[tuple[Any, ...], Measured]] = {
    "shifts": (SETTINGS, measure),
    "labels": (SAME_DOMAIN, measure),
    "spread": (SPREAD, measure_spread),
    "related": (RELATED, measure_related),
}


def name_of(setting: tuple[Any, ...]) -> str:
    """Return the name of a row."""
    if len(setting) == 3:
        return f"{setting[0]} with {setting[1]}, {setting[2]} labels a class"
    source, target, shares, labels = setting
    return f"{source} to {target}{', shares' if shares else ''}, {labels} labels a class"


def print_table(folder: Path, table: str, bases: list[str], seeds: int) -> None:
    """Measure all settings of a table and print it."""
    settings, measured = TABLES[table]
    last = "mean confidence" if table == "spread" else "area"
    print(f"\n| {table} | base | without | with | gain, points | worst seed | decisions | {last} |")
    print("|---|---|---|---|---|---|---|---|")
    gains, right = [], []
    for base in bases:
        for setting in settings:
            rows = [measured(folder, base, setting, seed) for seed in range(seeds)]
            gains += [row["with"].mean() - row["without"].mean() for row in rows]
            right += [
                gain > -POINT and row.get("missed", 0.0) < POINT for row, gain in zip(rows, gains[-seeds:], strict=True)
            ]
            print(f"| {name_of(setting)} | {base} | {figures_of(rows)} |", flush=True)
    print(
        f"\nMean gain {100 * statistics.mean(gains):.1f} points over {len(gains)} trainings, worst"
        f" {100 * min(gains):.1f}; right {sum(right)} of {len(right)}."
    )


def figures_of(rows: list[dict[str, Any]]) -> str:
    """Return the figures of a setting: its seeds' means, the worst seed with its standard error, and the decisions."""
    without, with_ = (statistics.mean(row[key].mean() for row in rows) for key in ("without", "with"))
    worst = min((row["with"] - row["without"] for row in rows), key=np.mean)
    error = worst.std() / len(worst) ** 0.5
    chosen = [row["decision"].chosen for row in rows]
    names = ", ".join(f"{name} {chosen.count(name)}" for name in sorted(set(chosen)))
    measures = [row.get("confidence", row["decision"].domain_area) for row in rows]
    spread = "" if None in measures else " to ".join(dict.fromkeys(f"{f(measures):.2f}" for f in (min, max)))
    return (
        f"{without:.3f} | {with_:.3f} | {100 * (with_ - without):+.1f}"
        f" | {100 * worst.mean():+.1f} ± {100 * error:.1f} | {names} | {spread}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("--fashion", type=Path)
    parser.add_argument("--domains", type=Path, nargs="*", default=[])
    parser.add_argument("--weights", nargs="*", default=[], metavar="BASE=FILE")
    parser.add_argument("--bases", nargs="*", default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tables", nargs="*", choices=list(TABLES), default=list(TABLES))
    args = parser.parse_args()
    weights = {base: Path(path) for base, path in (each.split("=", 1) for each in args.weights)}
    store_features(args.features, weights, args.fashion, args.domains)
    for table in args.tables:
        print_table(args.features, table, args.bases, args.seeds)


if __name__ == "__main__":
    main()
