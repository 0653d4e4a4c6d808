"""What does the linear probe cost, beside scikit-learn's LogisticRegressionCV and beside computing the features?

usage: probe.py OUT.json [--features FILE.npy --targets FILE.npy] [--repeats 3] [--rate 46] [--no-sklearn]

Without files it makes 2,048 features of 3,670 images in 5 classes, with what such features have: no negative values,
a spectrum that falls by powers of ten, and classes that overlap. Prints, and writes to OUT.json: seconds (by the clock,
and of all cores together) of `solve`, of `solve` made to try every strength, and of scikit-learn over the same
strengths and folds; their ratios; the largest difference of probabilities from scikit-learn's converged ones at the
strength chosen; and the share of a feature pass at --rate images a second (46: ResNet50 at 224, bfloat16, 2 cores).
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


def made() -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [N, D] of classes that differ by a part of what their images differ by, and targets int [N]."""
    rng = np.random.default_rng(0)
    targets = np.arange(IMAGES) % CLASSES
    spectrum = np.arange(1, WIDTH + 1) ** -0.8
    middles = 0.25 * rng.standard_normal((CLASSES, WIDTH)) * (np.arange(WIDTH) < 100)
    latent = rng.standard_normal((IMAGES, WIDTH)) + middles[targets]
    mixed = (latent * spectrum) @ np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    return np.maximum(mixed, 0).astype(np.float32), targets


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[dict[str, float], Any]:
    """Median seconds of `repeats` calls: by the clock, and of the cores (all threads)."""
    clocks, cores, result = [], [], None
    for _ in range(repeats):
        begun, used = time.perf_counter(), time.process_time()
        result = work()
        clocks.append(time.perf_counter() - begun)
        cores.append(time.process_time() - used)
    return {"seconds": statistics.median(clocks), "core_seconds": statistics.median(cores)}, result


def solve(features: np.ndarray, targets: np.ndarray) -> probe.Probe:
    return probe.solve(
        ArrayRows(features), targets, int(targets.max()) + 1, class_weights=None, seed=0, reporter=Reporter()
    )


def whole_path(features: np.ndarray, targets: np.ndarray) -> probe.Probe:
    usual, probe.STOP_ERRORS = probe.STOP_ERRORS, float("inf")
    try:
        return solve(features, targets)
    finally:
        probe.STOP_ERRORS = usual


def scikit_learn(features: np.ndarray, targets: np.ndarray) -> Any:
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


def difference(found: probe.Probe, features: np.ndarray, targets: np.ndarray) -> float:
    from scipy.special import softmax
    from sklearn.linear_model import LogisticRegression

    centred = coordinates(ArrayRows(features)).centred.astype(np.float64)
    model = LogisticRegression(C=found.strength, tol=1e-8, max_iter=10_000).fit(centred, targets)
    ours = softmax(features.astype(np.float64) @ found.kernel + found.bias, axis=1)
    return float(abs(model.predict_proba(centred) - ours).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--targets", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rate", type=float, default=46.0, help="images a second of the feature pass")
    parser.add_argument("--no-sklearn", action="store_true")
    given = parser.parse_args()
    if (given.features is None) != (given.targets is None):
        parser.error("--features and --targets go together")
    features, targets = (np.load(given.features), np.load(given.targets)) if given.features else made()
    solve(features[::8], targets[::8])  # libraries start their threads
    usual, result = timed(lambda: solve(features, targets), given.repeats)
    full, _ = timed(lambda: whole_path(features, targets), given.repeats)
    found: dict[str, Any] = {
        "shape": [*features.shape, int(targets.max()) + 1],
        "load": os.getloadavg()[0],
        "solve": usual | {"strengths": len(result.path), "chosen": result.strength, "path": result.path},
        "every_strength": full,
        "share_of_feature_pass": usual["seconds"] / (len(features) / given.rate),
    }
    if not given.no_sklearn:
        theirs, _ = timed(lambda: scikit_learn(features, targets))
        found["scikit_learn"] = theirs
        found["ratio"] = theirs["seconds"] / usual["seconds"]
        found["ratio_every_strength"] = theirs["seconds"] / full["seconds"]
        found["largest_difference"] = difference(result, features, targets)
    for key, value in found.items():
        print(key, json.dumps(value))
    given.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
