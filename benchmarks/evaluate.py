"""Cost of `evaluate`, compared with the forward pass that it contains.

Usage: python -m benchmarks.evaluate OUT.json [--base resnet50] [--side 224] [--images 1500]

Generates JPEGs, solves a head on a base with random weights, and evaluates the run on a test split of that many images,
which its training has decoded: the model is loaded, predicts, is measured with all intervals and explained, and the
report is written. Before and after, the network alone predicts images in memory, in batches of 32. Prints, and writes
to OUT.json, images per second of both, and the evaluation's cost in forward passes, by wall-clock and processor time.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.predict import forward_speed
from benchmarks.workbench import finetune, make_config, run_measurement, write_images, write_weights
from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

FILE_SIDE = 320  # pixels
BATCH = 32
LEARNING_IMAGES = 200  # in the training split, and as many in the validation split


def measure(work: Path, base: str, side: int, images: int) -> dict[str, Any]:
    """Measure one evaluation; side: of the network's input, in pixels; images: number in the test split."""
    count = images + 2 * LEARNING_IMAGES
    photos = write_images(work / "photos", count, FILE_SIDE)
    batch = np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), np.uint8)
    weights = write_weights(work / "weights.safetensors", base, batch)
    config = make_config(photos, weights, base, side, work / "cache", transfer={"strategy": "linear_probe"})
    config["data"] |= {"test": images / count, "validation": LEARNING_IMAGES / count}
    run = str(finetune(work, "evaluated", config)["run"])
    before = forward_speed(run, batch, images)
    started, cpu_started = time.perf_counter(), time.process_time()
    evaluation = evaluate_run(EvaluateRequest(run, work / "runs"), Reporter()).evaluation
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    after = forward_speed(run, batch, images)
    forward, forward_cpu = (before[0] + after[0]) / 2, (before[1] + after[1]) / 2
    return {
        "base": base,
        "side": side,
        "images": evaluation.examples,
        "forward_images_per_second": forward,
        "forward_before_and_after": [before[0], after[0]],
        "evaluate_seconds": wall,
        "passes": wall * forward / evaluation.examples,
        "passes_in_processor_seconds": cpu / (forward_cpu * evaluation.examples),
    }


if __name__ == "__main__":
    run_measurement(__doc__, measure, side=224, images=1500)
