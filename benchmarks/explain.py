"""Cost of the heat maps of an evaluation, in processor seconds.

Usage: python -m benchmarks.explain [BASE] [IMAGES]

Prints processor seconds of the float32 forward pass over the images, of Grad-CAM and occlusion for the selected images,
and the ratio of both together to the forward pass alone.
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
    """Return `count` images uint8 [side, side, 3]: 32 random images, repeated, which cost no time to read."""
    images = np.random.default_rng(0).integers(0, 256, (32, side, side, 3)).astype(np.uint8)
    return SelectedRows(ArrayRows(images), np.arange(count) % len(images))


def main(base: str = "resnet50", images: int = 300) -> None:
    side, labels = BASES[base].size, tuple("abcdefghij")
    classifier = build_classifier(Architecture(base, (side, side), 3, HeadConfig(), labels))
    pixels = random_images(images, side)
    started = time.process_time()
    logits = forward(classifier.model, pixels, 32, Reporter())
    predicted = time.process_time()
    targets = np.arange(images) % len(labels)
    predictions = Predictions(("x.png",) * images, labels, targets, probabilities(logits))
    explanations = explain(classifier, predictions, pixels.read, 32, Reporter())
    explained = time.process_time()
    occluded = sum(explanation.occlusion is not None for explanation in explanations.values())
    result = {"base": base, "images": images, "explained": len(explanations), "occluded": occluded}
    result |= {"seconds_pass": round(predicted - started, 1), "seconds_explain": round(explained - predicted, 1)}
    print(json.dumps(result | {"ratio": round((explained - started) / (predicted - started), 3)}))


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
