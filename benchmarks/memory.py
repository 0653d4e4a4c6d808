"""Memory of training on cached features: the increase above a process that has trained on few features.

Usage: python -m benchmarks.memory OUT.json [--images 60000] [--width 2048] [--classes 5] [--strengths 9] [--only probe]

Fills a feature store with random features. Then, each in a new process, it trains a head with 256 hidden units on them
for 2 epochs (gradients), and solves a linear head (probe) with the first --strengths strengths of regularization.
Prints, and writes to OUT.json, the increase of the peak of resident memory (VmHWM, which counts the pages of the mapped
store that are in memory) above the resident memory after all imports and a small training. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.data.cache.index import Entry
from transfercli.data.cache.rows import StoredRows
from transfercli.data.cache.segments import Segments, Space
from transfercli.reporting import Reporter
from transfercli.transfer.probe import probe

HIDDEN, BATCH = 256, 32
WARM_UP_IMAGES = 512  # of the small training


def fill(root: Path, images: int, width: int, classes: int) -> list[Entry]:
    """Store random features float32 [width] of `images` images, with class means that differ; return the entries."""
    store, rng = Segments(root, space(width), 10**12), np.random.default_rng(0)
    class_means = rng.standard_normal((classes, width), np.float32)
    for image in range(images):
        row = class_means[image % classes] + 8 * rng.standard_normal(width, np.float32)
        store.append(Entry(f"{image}:0"), np.maximum(row, 0))
    store.close()
    reopened = Segments(root, space(width), 10**12)
    entries = [entry for image in range(images) if (entry := reopened.entry(f"{image}:0"))]
    reopened.close()
    return entries


def space(width: int) -> Space:
    return Space("features/made", (width,), "float32")


def read_features(root: Path, entries: Iterable[Entry], width: int) -> Any:
    """Return the stored features for each epoch, mapped into memory."""
    from transfercli.transfer.features.features import EpochFeatures

    def recompute(row: int) -> np.ndarray:
        raise AssertionError(f"row {row} is damaged")

    return EpochFeatures(StoredRows(Segments(root, space(width), 10**12), list(entries), recompute))


def train_head(features: Any, targets: np.ndarray, width: int, classes: int) -> None:
    """Train a head with a hidden layer for two epochs."""
    import keras

    from transfercli.data.batching.batches import Batches
    from transfercli.training.backend import input_pipeline

    layers = keras.layers.Dense(HIDDEN, activation="relu"), keras.layers.Dense(classes)
    model = keras.Sequential([keras.Input((width,)), *layers])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = Batches(features, targets, BATCH, seed=0)
    rows = input_pipeline(batches)
    for epoch in (1, 2):
        batches.set_epoch(epoch)
        model.fit(rows, epochs=1, shuffle=False, verbose=0)


def solve_probe(features: Any, targets: np.ndarray, width: int, classes: int) -> None:
    """Solve a linear head."""
    probe.solve(features, targets, classes, class_weights=None, seed=0, reporter=Reporter())


TRAININGS: dict[str, Callable[[Any, np.ndarray, int, int], None]] = {"gradients": train_head, "probe": solve_probe}


def resident_bytes(field: str) -> int:
    """Return the resident bytes of this process: VmRSS is the present value, VmHWM the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def print_memory(name: str, root: Path, images: int, width: int, classes: int) -> None:
    """Train on few and then on all features, and print the memory of this process as JSON."""
    from benchmarks.workbench import prepare_backend

    prepare_backend()
    store = Segments(root, space(width), 10**12)
    entries = [entry for image in range(images) if (entry := store.entry(f"{image}:0"))]
    targets = np.arange(images, dtype=np.int32) % classes
    few = targets[:WARM_UP_IMAGES]
    TRAININGS[name](read_features(root, entries[:WARM_UP_IMAGES], width), few, width, int(few.max()) + 1)
    before = resident_bytes("VmRSS")
    TRAININGS[name](read_features(root, entries, width), targets, width, classes)
    peak = resident_bytes("VmHWM")
    print(json.dumps({"process": before, "peak": peak, "above": peak - before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--strengths", type=int, default=9)
    parser.add_argument("--only", choices=TRAININGS)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        probe.STRENGTHS = probe.STRENGTHS[: args.strengths]
        return print_memory(args.child[0], Path(args.child[1]), args.images, args.width, args.classes)
    results: dict[str, Any] = {"images": args.images, "width": args.width, "classes": args.classes}
    with tempfile.TemporaryDirectory() as root:
        fill(Path(root), args.images, args.width, args.classes)
        for name in [args.only] if args.only else TRAININGS:
            sizes = [f"--{key}={getattr(args, key)}" for key in ("images", "width", "classes", "strengths")]
            command = [sys.executable, "-m", "benchmarks.memory", str(args.out), *sizes, "--child", name, root]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            results[name] = json.loads(output.splitlines()[-1])
            print(name, json.dumps(results[name]), flush=True)
    args.out.write_text(json.dumps(results, indent=2) + "\n")
    return None


if __name__ == "__main__":
    main()
