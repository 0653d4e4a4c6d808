"""Training steps in bfloat16 compared with float32 and with plain Keras, on a processor with native bfloat16.

Usage: python -m benchmarks.step_precision [--cases resnet50:64 vgg16:224 …] [--pairs 5] [--batch 32] [--out FILE.json]

Prints a Markdown table of median ratios, and writes the rows to FILE.json. Each case is a base at a number of pixels,
in a process of its own: all layers train with AdamW on random images, and a step of each variant is timed in turn, so
that other load falls on all alike. The variants are plain Keras (`keras.Model.train_on_batch` in float32, BatchNorm in
inference mode, without XLA as op determinism is on), and the program's own step in float32 and in bfloat16.

`multiplications` and `values` are those of the rule in `transfercli/training/precision/steps.py`: the multiplications
of an image's forward pass, and the activations that its layers give.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = 10
CASES = (
    *("small_cnn:32", "resnet18:32", "resnet50:32", "vgg16:32", "mobilenetv2:64", "efficientnetb0:64"),
    *("resnet18:64", "resnet50:64", "vgg16:64", "densenet121:64", "convnexttiny:64", "vit_small_patch16:64"),
    *("resnet18:128", "resnet50:128", "vgg16:128", "mobilenetv2:224", "resnet50:224", "vgg16:224"),
)


def measure(base: str, side: int, batch: int, pairs: int) -> dict[str, Any]:
    """Return the median ratios of one case and the counts of its network."""
    from transfercli.config.schema import ComputeConfig
    from transfercli.models.multiplications import multiplications
    from transfercli.models.passes.batch_size import activation_bytes
    from transfercli.training.backend import prepare

    prepare(ComputeConfig(), 0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, side, side, 3)).astype("uint8")
    targets = rng.integers(0, CLASSES, batch).astype("int32")
    steps = {name: make(base, images, targets) for name, make in VARIANTS.items()}
    for step in steps.values():
        step()
        step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(pairs):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - started)
    model = _classifier(base, side).model
    of = {name: np.array(values) for name, values in seconds.items()}
    return {
        "base": base,
        "side": side,
        "multiplications": multiplications(model),
        "values": activation_bytes(model) // 4,
        "to_float32": round(statistics.median(of["float32"] / of["bfloat16"]), 2),
        "to_keras": round(statistics.median(of["keras"] / of["bfloat16"]), 2),
        "float32_to_keras": round(statistics.median(of["keras"] / of["float32"]), 2),
        "images_per_second": round(batch / statistics.median(seconds["bfloat16"]), 1),
    }


def _classifier(base: str, side: int) -> Any:
    from transfercli.config.schema import HeadConfig
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    return build_classifier(
        Architecture(base, (side, side), 3, HeadConfig(), tuple(str(label) for label in range(CLASSES)))
    )


def _program(precision: str) -> Callable[[str, np.ndarray, np.ndarray], Callable[[], None]]:
    def make(base: str, images: np.ndarray, targets: np.ndarray) -> Callable[[], None]:
        from transfercli.config.schema import TrainingConfig
        from transfercli.data.batching.batches import Batches
        from transfercli.models.forward import computing_in
        from transfercli.models.trainable.freezing import freeze_below
        from transfercli.rows import ArrayRows
        from transfercli.training.compiling import compile_phase
        from transfercli.training.phases import Phase, PhaseSetup

        classifier = _classifier(base, images.shape[1])
        freeze_below(classifier, "all")
        batches = Batches(ArrayRows(images), targets, len(images), seed=0)
        setup = PhaseSetup(classifier.model, batches, ArrayRows(images))
        compile_phase(setup, Phase("all", 1, 1e-4), TrainingConfig(), classifier)

        def step() -> None:
            with computing_in(precision, setup.model):
                setup.model.train_on_batch(*batches[0])

        return step

    return make


def _keras(base: str, images: np.ndarray, targets: np.ndarray) -> Callable[[], None]:
    import keras

    from transfercli.models.bases import BASES
    from transfercli.models.preprocessing import preprocess

    network = BASES[base].build(images.shape[1:])
    image = keras.Input(images.shape[1:])
    features = network(preprocess(image, BASES[base].preprocessing, 3), training=False)
    if len(features.shape) == 4:
        features = keras.layers.GlobalAveragePooling2D()(features)
    elif len(features.shape) == 3:
        features = features[:, 0]
    model = keras.Model(image, keras.layers.Dense(CLASSES)(features))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.AdamW(1e-4), loss=loss, metrics=["accuracy"])
    pixels = images.astype("float32")

    def step() -> None:
        model.train_on_batch(pixels, targets)

    return step


VARIANTS = {"keras": _keras, "float32": _program("float32"), "bfloat16": _program("bfloat16")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        base, _, side = options.only.rpartition(":")
        print(json.dumps(measure(base, int(side), options.batch, options.pairs)))
        return
    rows = []
    print("| base | pixels | multiplications | per activation | bf16 : float32 | bf16 : Keras | images/s | load |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for case in options.cases:
        command = [sys.executable, "-m", "benchmarks.step_precision", "--only", case, "--pairs", str(options.pairs)]
        run = subprocess.run(
            [*command, "--batch", str(options.batch)], capture_output=True, text=True, check=False, timeout=3600
        )
        if run.returncode:
            print(f"{case}: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        row = json.loads(run.stdout.splitlines()[-1]) | {"load": round(os.getloadavg()[0], 1)}
        rows.append(row)
        print(
            f"| {row['base']} | {row['side']} | {row['multiplications']:.2g} |"
            f" {row['multiplications'] / row['values']:.0f} | {row['to_float32']} | {row['to_keras']} |"
            f" {row['images_per_second']} | {row['load']} |",
            flush=True,
        )
        if options.out:
            options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
