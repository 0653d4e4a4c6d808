"""What explanations add to an evaluation: `python -m benchmarks.explain [BASE] [IMAGES]` prints processor seconds.

Processor seconds of the one float32 pass over the images, and of Grad-CAM and occlusion for the chosen ones after it.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from transfercli.config.schema import HeadConfig
from transfercli.evaluation.explain.attribution import explain
from transfercli.evaluation.predictions import Predictions
from transfercli.models.architecture import Architecture
from transfercli.models.bases import BASES
from transfercli.models.classifier import build_classifier
from transfercli.models.forward import forward, probabilities
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows, Rows, SelectedRows


def random_images(count: int, side: int) -> Rows:
    """Return `count` images uint8 [side, side, 3] that cost nothing to read: 32 in turn."""
    few = np.random.default_rng(0).integers(0, 256, (32, side, side, 3)).astype(np.uint8)
    return SelectedRows(ArrayRows(few), np.arange(count) % len(few))


def main(base: str = "resnet50", images: int = 300) -> None:
    side, labels = BASES[base].size, tuple("abcdefghij")
    classifier = build_classifier(Architecture(base, (side, side), 3, HeadConfig(), labels))
    noise = random_images(images, side)
    started = time.process_time()
    logits = forward(classifier.model, noise, 32, Reporter())
    passed = time.process_time()
    targets = np.arange(images) % len(labels)
    predictions = Predictions(("x.png",) * images, labels, targets, probabilities(logits))
    found = explain(classifier, predictions, noise.read, 32, Reporter())
    explained = time.process_time()
    occluded = sum(one.occlusion is not None for one in found.values())
    told = {"base": base, "images": images, "explained": len(found), "occluded": occluded}
    told |= {"seconds_pass": round(passed - started, 1), "seconds_explain": round(explained - passed, 1)}
    print(json.dumps(told | {"ratio": round((explained - started) / (passed - started), 3)}))


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
