"""Cost of an evaluation's report: seconds, peak memory and bytes.

Usage: python -m benchmarks.report [IMAGES] [CLASSES] [SIDE]

Generates predictions of which about nine of ten are right, and random images. JPEG compresses noise badly, so a real
report is smaller.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from transfercli.evaluation.examples import images_to_explain
from transfercli.evaluation.explain.heatmaps import Explanation
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.report import ReportContext
from transfercli.evaluation.report.write import write_evaluation
from transfercli.evaluation.result import evaluate


def random_predictions(images: int, classes: int) -> Predictions:
    """Return predictions of which about nine of ten are right."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(images, classes))
    targets = rng.integers(0, classes, images)
    logits[np.arange(images), targets] += np.where(rng.random(images) < 0.9, 8, 0)
    weights = np.exp(logits)
    paths = tuple(f"test/class-{target:03d}/{n:06d}.jpg" for n, target in enumerate(targets))
    labels = tuple(f"class-{n:03d}" for n in range(classes))
    return Predictions(paths, labels, targets, weights / weights.sum(axis=1, keepdims=True))


def random_images(side: int, indices: np.ndarray) -> np.ndarray:
    """Return images uint8 [N, side, side, 3] of coarse noise, in cells of 8 x 8 pixels."""
    cells = [np.random.default_rng(int(n)).integers(0, 256, (side // 8 + 1,) * 2 + (3,)) for n in indices]
    return np.stack([np.kron(c, np.ones((8, 8, 1)))[:side, :side] for c in cells]).astype(np.uint8)


def main(images: int = 10_000, classes: int = 10, side: int = 224) -> None:
    predictions = random_predictions(images, classes)
    started = time.perf_counter()
    evaluation = evaluate(predictions)
    measured = time.perf_counter()
    heatmaps = np.random.default_rng(0).random((200, 7, 7), np.float32)
    explained = {index: Explanation("Grad-CAM", heatmaps[n]) for n, index in enumerate(images_to_explain(predictions))}
    context = ReportContext(
        experiment="bench",
        run_id="one",
        split="test",
        thumbnails=lambda indices: random_images(side, indices),
        explained=explained,
    )
    with tempfile.TemporaryDirectory() as folder:
        write_evaluation(Path(folder), evaluation, predictions, context)
        size = (Path(folder) / "report.html").stat().st_size
    print(
        json.dumps(
            {
                "images": images,
                "classes": classes,
                "side": side,
                "seconds_metrics": round(measured - started, 2),
                "seconds_files": round(time.perf_counter() - measured, 2),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "report_mb": round(size / 1e6, 2),
            }
        )
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
