"""Cost of a frozen ViT-S/16 beside ResNet50: of features of an image, and of an epoch of a head with and without cache.

Usage: python -m benchmarks.tokens [--images 64] [--repeats 3]

Both have random weights and images of 224 pixels. Prints a Markdown table of processor milliseconds an image, the
shortest of the repeats: of the features of the frozen base (from pixels to the pooled vector, in float32 and bfloat16),
of an epoch of the head on these features, and of an epoch of the same head through the whole network.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import keras
import numpy as np

from transfercli.config.schema import HeadConfig
from transfercli.models.architecture import Architecture
from transfercli.models.classifier import build_classifier
from transfercli.models.multiplications import multiplications
from transfercli.models.passes.batch_size import BATCH
from transfercli.models.surgery import cut_after_base
from transfercli.models.trainable.freezing import freeze_below
from transfercli.transfer.features.prefix import Prefix
from transfercli.transfer.phase_builder import upper_model

BASES = {"resnet50": "avg", "vit_small_patch16": "token"}
LABELS = tuple("abcdefghij")


def jobs(base: str, pooling: str, images: np.ndarray) -> tuple[float, dict[str, Callable[[], object]]]:
    """Return the multiplications of an image, and the functions to time: each takes all images once."""
    classifier = build_classifier(Architecture(base, (224, 224), 3, HeadConfig(pooling=pooling), LABELS))
    freeze_below(classifier, "none")
    cut, targets = cut_after_base(classifier), np.arange(len(images)) % len(LABELS)
    upper, batches = upper_model(cut), [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
    prefixes = {precision: Prefix(cut, precision) for precision in ("float32", "bfloat16")}
    rows = np.concatenate([prefixes["float32"](batch) for batch in batches])
    for model in (upper, classifier.model):
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def features(precision: str) -> Callable[[], object]:
        return lambda: [prefixes[precision](batch) for batch in batches]

    return multiplications(cut.prefix), {
        "features, float32": features("float32"),
        "features, bfloat16": features("bfloat16"),
        "epoch on cached features": lambda: upper.fit(rows, targets, batch_size=BATCH, verbose=0),
        "epoch on images": lambda: classifier.model.fit(images, targets, batch_size=BATCH, verbose=0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (arguments.images, 224, 224, 3)).astype("uint8")
    counts, work = {}, {}
    for base, pooling in BASES.items():
        counts[base], functions = jobs(base, pooling, images)
        work |= {(base, name): function for name, function in functions.items()}
    seconds = dict.fromkeys(work, float("inf"))
    for repeat in range(arguments.repeats + 1):  # the first compiles
        for key, function in work.items():
            started = time.process_time()
            function()
            seconds[key] = min(seconds[key], time.process_time() - started) if repeat else float("inf")
    print("| Base | 10^9 multiplications | " + " | ".join(name for base, name in work if base == "resnet50") + " |")
    print("|---|---|---|---|---|---|")
    for base in BASES:
        cells = [f"{1000 * seconds[key] / len(images):.2f}" for key in work if key[0] == base]
        print(f"| {base} | {counts[base] / 1e9:.2f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
