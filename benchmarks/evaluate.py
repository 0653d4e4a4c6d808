"""What does `evaluate` cost beside the one forward pass that it cannot do without?

usage: evaluate.py OUT.json [--base resnet50] [--side 224] [--images 1500]

Makes JPEGs, solves a head on a base with made weights, and evaluates the run on a test split of that many images, which
its training has decoded: the model is loaded, predicts, is measured with all intervals and explained, and the report is
written. Before and after, the network alone answers images that are in memory, in batches of 32. Prints, and writes to
OUT.json, images a second of both, and how many passes the evaluation takes, by the clock and in processor seconds.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.predict import forward
from benchmarks.workbench import fit, measured_as_typed, settings, write_pictures, write_weights
from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

SIDE_OF_FILES = 320
BATCH = 32
LEARNT_FROM = 200  # images of each of training and validation


def measure(work: Path, base: str, side: int, images: int) -> dict[str, Any]:
    count = images + 2 * LEARNT_FROM
    photos = write_pictures(work / "photos", count, SIDE_OF_FILES)
    batch = np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), np.uint8)
    weights = write_weights(work / "weights.safetensors", base, batch)
    config = settings(photos, weights, base, side, work / "cache", transfer={"strategy": "linear_probe"})
    config["data"] |= {"test": images / count, "validation": LEARNT_FROM / count}
    run = str(fit(work, "evaluated", config)["run"])
    before = forward(run, batch, images)
    started, used = time.perf_counter(), time.process_time()
    result = evaluate_run(EvaluateRequest(run, work / "runs"), Reporter()).evaluation
    wall, cpu = time.perf_counter() - started, time.process_time() - used
    after = forward(run, batch, images)
    alone, alone_cpu = (before[0] + after[0]) / 2, (before[1] + after[1]) / 2
    return {
        "base": base,
        "side": side,
        "images": result.examples,
        "forward_images_per_second": alone,
        "forward_before_and_after": [before[0], after[0]],
        "evaluate_seconds": wall,
        "passes": wall * alone / result.examples,
        "passes_in_processor_seconds": cpu / (alone_cpu * result.examples),
    }


if __name__ == "__main__":
    measured_as_typed(__doc__, measure, side=224, images=1500)
