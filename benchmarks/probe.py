"""Cost of the linear probe, compared with scikit-learn's LogisticRegressionCV and with computing the features.

Usage: python benchmarks/probe.py OUT.json [--features FILE.npy --targets FILE.npy] [--repeats 3] [--rate 46]
                                  [--no-sklearn]

Without files it generates 2,048 features of 3,670 images in 5 classes that resemble those of a base: no negative
values, a spectrum that falls by powers of ten, and classes that overlap. Prints, and writes to OUT.json: wall-clock and
processor seconds of `solve`, of `solve` with every regularization strength, and of scikit-learn with the same strengths
and folds; their ratios; the largest difference of probabilities from those of scikit-learn, converged, at the chosen
strength; and the share of the seconds of a feature pass at --rate images per second (46: ResNet50 at 224 pixels,
bfloat16, 2 cores).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe import probe
from transfercli.transfer.probe.row_space import coordinates

IMAGES, WIDTH, CLASSES = 3670, 2048, 5


def random_features() -> tuple[np.ndarray, np.ndarray]:
    """Return features float32 [N, D] with a smaller variance between classes than within them, and targets int [N]."""
    rng = np.random.default_rng(0)
    targets = np.arange(IMAGES) % CLASSES
    spectrum = np.arange(1, WIDTH + 1) ** -0.8
    class_means = 0.25 * rng.standard_normal((CLASSES, WIDTH)) * (np.arange(WIDTH) < 100)
    latent = rng.standard_normal((IMAGES, WIDTH)) + class_means[targets]
    mixed = (latent * spectrum) @ np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    return np.maximum(mixed, 0).astype(np.float32), targets


def timed(call: Callable[[], Any], repeats: int = 1) -> tuple[dict[str, float], Any]:
    """Return the median wall-clock and processor seconds (of all threads) of the calls, and the last result."""
    wall, cpu, result = [], [], None
    for _ in range(repeats):
        started, cpu_started = time.perf_counter(), time.process_time()
        result = call()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - cpu_started)
    return {"seconds": statistics.median(wall), "core_seconds": statistics.median(cpu)}, result


def solve(features: np.ndarray, targets: np.ndarray) -> probe.Probe:
    """Solve the linear probe as the program does."""
    return probe.solve(
        ArrayRows(features), targets, int(targets.max()) + 1, class_weights=None, seed=0, reporter=Reporter()
    )


def solve_all_strengths(features: np.ndarray, targets: np.ndarray) -> probe.Probe:
    """Solve the linear probe without its early stop, so with every strength."""
    usual, probe.STOP_ERRORS = probe.STOP_ERRORS, float("inf")
    try:
        return solve(features, targets)
    finally:
        probe.STOP_ERRORS = usual


def solve_with_sklearn(features: np.ndarray, targets: np.ndarray) -> Any:
    """Fit scikit-learn's LogisticRegressionCV with the same strengths and folds."""
    from sklearn.linear_model import LogisticRegressionCV

    centred = coordinates(ArrayRows(features)).centred
    model = LogisticRegressionCV(
        Cs=list(probe.STRENGTHS),
        cv=probe.FOLDS,
        scoring="neg_log_loss",
        max_iter=1000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    )
    return model.fit(centred, targets)


def largest_difference(result: probe.Probe, features: np.ndarray, targets: np.ndarray) -> float:
    """Return the largest difference of probabilities from those of scikit-learn, converged, at the same strength."""
    from scipy.special import softmax
    from sklearn.linear_model import LogisticRegression

    centred = coordinates(ArrayRows(features)).centred.astype(np.float64)
    model = LogisticRegression(C=result.strength, tol=1e-8, max_iter=10_000).fit(centred, targets)
    probabilities = softmax(features.astype(np.float64) @ result.kernel + result.bias, axis=1)
    return float(abs(model.predict_proba(centred) - probabilities).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--targets", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rate", type=float, default=46.0, help="images per second of the feature pass")
    parser.add_argument("--no-sklearn", action="store_true")
    args = parser.parse_args()
    if (args.features is None) != (args.targets is None):
        parser.error("--features and --targets go together")
    features, targets = (np.load(args.features), np.load(args.targets)) if args.features else random_features()
    solve(features[::8], targets[::8])  # so that libraries start their threads before the measurement
    early_stop, result = timed(lambda: solve(features, targets), args.repeats)
    every, _ = timed(lambda: solve_all_strengths(features, targets), args.repeats)
    results: dict[str, Any] = {
        "shape": [*features.shape, int(targets.max()) + 1],
        "load": os.getloadavg()[0],
        "solve": early_stop | {"strengths": len(result.path), "chosen": result.strength, "path": result.path},
        "every_strength": every,
        "share_of_feature_pass": early_stop["seconds"] / (len(features) / args.rate),
    }
    if not args.no_sklearn:
        sklearn, _ = timed(lambda: solve_with_sklearn(features, targets))
        results["scikit_learn"] = sklearn
        results["ratio"] = sklearn["seconds"] / early_stop["seconds"]
        results["ratio_every_strength"] = sklearn["seconds"] / every["seconds"]
        results["largest_difference"] = largest_difference(result, features, targets)
    for key, value in results.items():
        print(key, json.dumps(value))
    args.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
