"""Likely label errors among digits and Fashion-MNIST with flipped labels, beside confident learning and cleanlab.

Usage: python benchmarks/mislabelled.py OUT.json [--fashion FOLDER [--vgg16-kernels FILE]] [--seeds 3] [--cost]

FOLDER holds `train/CLASS/*.png` of Fashion-MNIST; its features are those of VGG16 at 64 pixels with the kernels of
FILE, or the pixels without it; benchmarks/README.md has the commands. Without a folder, scikit-learn's digits alone are
measured, by their pixels. Shares of the labels are flipped, to any other class (`random`) or to the class that a model
on the true labels confuses most with the true one (`similar`). `weak` is a random projection of the digits to 5
numbers, on which a probe is right on 60%. Prints Markdown tables of means over the seeds, and writes all results to
OUT.json. cleanlab is measured if it can be imported (`pip install --target DIR cleanlab`, and DIR in PYTHONPATH).
--cost: only the seconds on 10,000 random images of 512 features in 10 classes, before and now.

`now` lists every image whose label is more likely wrong than right, without the limit of `--mislabelled-share`.

`before` is confident learning (as in cleanlab's `filter_by="confident_learning"`) on scikit-learn's logistic regression
of strength 1, the earlier rule of `data check`.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.data.quality.label_noise import label_noise
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.folding import stratified_folds
from transfercli.transfer.probe.held_out import CrossValidatedProbe

FOLDS, SIDE = 5, 64
RATES = (0.0, 0.02, 0.05, 0.1, 0.2)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels float32 [N, 64] and classes int [N] of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data.astype(np.float32), found.target


def fashion(folder: Path, kernels: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Return features float32 [N, 512] by VGG16, or pixels [N, 784], and classes int [N], of an image folder."""
    from PIL import Image

    classes = sorted(path.name for path in (folder / "train").iterdir())
    files = [
        (file, index) for index, name in enumerate(classes) for file in sorted((folder / "train" / name).iterdir())
    ]
    targets = np.array([index for _, index in files])
    if kernels is None:
        return np.stack([np.asarray(Image.open(file), np.float32).ravel() for file, _ in files]), targets
    import keras

    network = keras.applications.VGG16(weights=None, include_top=False, pooling="avg", input_shape=(SIDE, SIDE, 3))
    network.load_weights(kernels)
    features = []
    for start in range(0, len(files), 200):
        images = [
            np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
            for file, _ in files[start : start + 200]
        ]
        pixels = keras.applications.vgg16.preprocess_input(np.stack(images))
        features.append(network.predict(pixels, batch_size=50, verbose=0))
    return np.concatenate(features), targets


def similar_classes(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return for each class the other one to which a held-out probe gives most probability, int [C]."""
    folds = stratified_folds(targets, FOLDS, 0)
    found = np.exp(CrossValidatedProbe(ArrayRows(features), targets, folds, Reporter()).log_probabilities())
    confusion = np.stack([found[targets == index].mean(axis=0) for index in range(found.shape[1])])
    np.fill_diagonal(confusion, 0)
    return confusion.argmax(axis=1)


def flipped(targets: np.ndarray, rate: float, similar: np.ndarray | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of which a share is wrong, and bool [N], True for these."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(targets), round(rate * len(targets)), replace=False)
    labels, wrong = targets.copy(), np.zeros(len(targets), bool)
    steps = rng.integers(1, targets.max() + 1, len(rows))
    labels[rows] = (labels[rows] + steps) % (targets.max() + 1) if similar is None else similar[labels[rows]]
    wrong[rows] = True
    return labels, wrong


def now(features: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the scores (lowest first), the listed images and the expected false alarms of `data check`."""
    folds = stratified_folds(labels, FOLDS, 0)
    probe = CrossValidatedProbe(ArrayRows(features), labels, folds, Reporter())
    held_out = probe.log_probabilities()
    first = label_noise(held_out, labels)
    noise = label_noise(probe.log_probabilities(1 - first.wrong), labels)
    doubted = noise.doubted()
    return {
        "score": noise.right,
        "listed": doubted,
        "expected": float((1 - noise.wrong[doubted]).sum()),
        "probabilities": np.exp(held_out.astype(np.float64)),
    }


def before(features: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the scores and the listed images of the earlier rule."""
    from sklearn.linear_model import LogisticRegression

    folds = stratified_folds(labels, FOLDS, 0)
    scaled = features - features.mean(axis=0)
    scaled /= scaled.std()
    probabilities = np.zeros((len(labels), labels.max() + 1))
    for fold in range(FOLDS):
        train = folds != fold
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(max_iter=200).fit(scaled[train], labels[train])
        probabilities[~train] = model.predict_proba(scaled[~train])
    rows = np.arange(len(labels))
    own, others = probabilities[rows, labels], probabilities.copy()
    others[rows, labels] = -1
    thresholds = np.array([own[labels == index].mean() for index in range(probabilities.shape[1])])
    confident = np.where(probabilities >= thresholds - 1e-6, probabilities, -1.0)
    listed = (confident.max(axis=1) >= 0) & (confident.argmax(axis=1) != labels) & (probabilities.argmax(1) != labels)
    return {"score": own - others.max(axis=1), "listed": np.flatnonzero(listed)}


def cleanlab_methods(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, Any]]:
    """Return the results of cleanlab on the same probabilities: confident learning, and its defaults; {} without it."""
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return {}
    found = {}
    for name, rule, rank in (
        ("cleanlab CL", "confident_learning", "normalized_margin"),
        ("cleanlab default", "prune_by_noise_rate", "self_confidence"),
    ):
        listed = find_label_issues(labels, probabilities, filter_by=rule, n_jobs=1)
        found[name] = {
            "score": get_label_quality_scores(labels, probabilities, method=rank),
            "listed": np.flatnonzero(listed),
        }
    return found


def judged(result: dict[str, Any], wrong: np.ndarray) -> dict[str, float]:
    """Return the measures of a result; precision is NaN if nothing is listed."""
    order, flips = np.argsort(result["score"], kind="stable"), int(wrong.sum())
    listed = result["listed"]
    false = int((~wrong[listed]).sum())
    return {
        "p_at_k": float(wrong[order[:flips]].mean()) if flips else float("nan"),
        "p_at_20": float(wrong[order[:20]].mean()),
        "listed": len(listed),
        "precision": 1 - false / len(listed) if len(listed) else float("nan"),
        "recall": (len(listed) - false) / flips if flips else float("nan"),
        "false": false,
        "expected_false": result.get("expected", float("nan")),
    }


def _mean(values: list[float]) -> float:
    """Return the mean of the values that are numbers, or NaN."""
    numbers = [value for value in values if not np.isnan(value)]
    return float(np.mean(numbers)) if numbers else float("nan")


def measure(name: str, features: np.ndarray, targets: np.ndarray, seeds: int) -> list[dict[str, Any]]:
    """Print a table for a data set and return its results."""
    similar, results = similar_classes(features, targets), []
    print(f"\n**{name}**: {len(targets)} images\n")
    print("| flips | method | precision at k | at 20 | listed | precision | recall | false alarms | expected |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for rate, kind in [(rate, kind) for kind in ("random", "similar") for rate in RATES if rate or kind == "random"]:
        found: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
        for seed in range(1, seeds + 1) if rate else [1]:
            labels, wrong = flipped(targets, rate, similar if kind == "similar" else None, seed)
            ours = now(features, labels)
            methods = {"now": ours, "before": before(features, labels)}
            for method, result in (methods | cleanlab_methods(ours["probabilities"], labels)).items():
                found[method].append(judged(result, wrong))
        for method, repeats in found.items():
            means = {key: _mean([one[key] for one in repeats]) for key in repeats[0]}
            results.append({"data": name, "kind": kind, "rate": rate, "method": method, **means})
            label = f"{rate:.0%} {kind}" if rate else "none"
            numbers = [f"{means[key]:.3f}" for key in ("p_at_k", "p_at_20")]
            numbers += [f"{means['listed']:.0f}", *(f"{means[key]:.2f}" for key in ("precision", "recall"))]
            numbers += [f"{means[key]:.0f}" for key in ("false", "expected_false")]
            print(f"| {label} | {method} | " + " | ".join(numbers).replace("nan", "-") + " |", flush=True)
    return results


def cost() -> dict[str, float]:
    """Return the seconds of both rules on generated features, and of the probe's path alone."""
    rng = np.random.default_rng(0)
    targets = np.arange(10_000) % 10
    features = rng.standard_normal((10_000, 512)) + 0.15 * rng.standard_normal((10, 512))[targets]
    features = np.maximum(features, 0).astype(np.float32)
    labels, _ = flipped(targets, 0.05, None, 1)
    seconds = {}
    for name, rule in (("before", before), ("now", now)):
        started = time.perf_counter()
        rule(features, labels)
        seconds[name] = time.perf_counter() - started
    started = time.perf_counter()
    CrossValidatedProbe(ArrayRows(features), labels, stratified_folds(labels, FOLDS, 0), Reporter())
    return seconds | {"path alone": time.perf_counter() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fashion", type=Path)
    parser.add_argument("--vgg16-kernels", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cost", action="store_true")
    arguments = parser.parse_args()
    if arguments.cost:
        results: Any = cost()
        print(results)
    else:
        pixels, targets = digits()
        projection = np.random.default_rng(0).standard_normal((64, 5)).astype(np.float32)
        results = measure("digits", pixels, targets, arguments.seeds)
        results += measure("weak", pixels @ projection, targets, arguments.seeds)
        if arguments.fashion:
            features, classes = fashion(arguments.fashion, arguments.vgg16_kernels)
            name = "VGG16" if arguments.vgg16_kernels else "pixels"
            results += measure(f"Fashion-MNIST, {name}", features, classes, arguments.seeds)
    arguments.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
