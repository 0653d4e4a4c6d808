"""How much memory does training on features take, above the process? 60,000 images of 2,048 features.

usage: memory.py OUT.json [--images 60000] [--width 2048]

Fills a feature store with made features, then, each in a fresh process, trains a head with 256 hidden units on it for 2
epochs (gradients), and solves a linear head (probe). Prints, and writes to OUT.json, by how much the peak of resident
memory (VmHWM: pages of the mapped store that are in memory count) is above what the process holds once everything is
imported and a small training is done. Linux only.
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

CLASSES, HIDDEN, BATCH = 5, 256, 32
SMALL = 512  # images of the training before


def fill(root: Path, images: int, width: int) -> list[Entry]:
    """Made features, as far apart as their classes ask for; the entries they are found by."""
    store, rng = Segments(root, space(width), 10**12), np.random.default_rng(0)
    middles = rng.standard_normal((CLASSES, width), np.float32)
    for image in range(images):
        row = middles[image % CLASSES] + 8 * rng.standard_normal(width, np.float32)
        store.append(Entry(f"{image}:0"), np.maximum(row, 0))
    store.close()
    again = Segments(root, space(width), 10**12)
    entries = [entry for image in range(images) if (entry := again.entry(f"{image}:0"))]
    again.close()
    return entries


def space(width: int) -> Space:
    return Space("features/made", (width,), "float32")


def source(root: Path, entries: Iterable[Entry], width: int) -> Any:
    from transfercli.transfer.features.features import EpochFeatures

    def remake(row: int) -> np.ndarray:
        raise AssertionError(f"row {row} is damaged")

    return EpochFeatures(StoredRows(Segments(root, space(width), 10**12), list(entries), remake))


def gradients(features: Any, targets: np.ndarray, width: int) -> None:
    import keras

    from transfercli.data.batching.batches import Batches
    from transfercli.training.backend import input_pipeline

    layers = keras.layers.Dense(HIDDEN, activation="relu"), keras.layers.Dense(CLASSES)
    model = keras.Sequential([keras.Input((width,)), *layers])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = Batches(features, targets, BATCH, seed=0)
    rows = input_pipeline(batches)
    for epoch in (1, 2):
        batches.set_epoch(epoch)
        model.fit(rows, epochs=1, shuffle=False, verbose=0)


def probe(features: Any, targets: np.ndarray, width: int) -> None:
    from transfercli.transfer.probe.probe import solve

    solve(features, targets, CLASSES, class_weights=None, seed=0, reporter=Reporter())


WORK: dict[str, Callable[[Any, np.ndarray, int], None]] = {"gradients": gradients, "probe": probe}


def held(field: str) -> int:
    """Bytes: VmRSS now, VmHWM at most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def child(work: str, root: Path, images: int, width: int) -> None:
    from benchmarks.workbench import quiet_backend

    quiet_backend()
    store = Segments(root, space(width), 10**12)
    entries = [entry for image in range(images) if (entry := store.entry(f"{image}:0"))]
    targets = np.arange(images, dtype=np.int32) % CLASSES
    WORK[work](source(root, entries[:SMALL], width), targets[:SMALL], width)
    before = held("VmRSS")
    WORK[work](source(root, entries, width), targets, width)
    print(json.dumps({"process": before, "peak": held("VmHWM"), "above": held("VmHWM") - before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.child[0], Path(given.child[1]), given.images, given.width)
    found: dict[str, Any] = {"images": given.images, "width": given.width}
    with tempfile.TemporaryDirectory() as root:
        fill(Path(root), given.images, given.width)
        for work in WORK:
            sizes = ["--images", str(given.images), "--width", str(given.width)]
            command = [sys.executable, "-m", "benchmarks.memory", str(given.out), *sizes, "--child", work, root]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found[work] = json.loads(output.splitlines()[-1])
            print(work, json.dumps(found[work]), flush=True)
    given.out.write_text(json.dumps(found, indent=2) + "\n")
    return None


if __name__ == "__main__":
    main()
