"""Speeds of this device for the cost model of the feature cache, as a row of `transfer/features/device_speeds.py`.

Usage: python -m benchmarks.device_constants [--base resnet50] [--side 224] [--seconds 10] [--folder FOLDER]

Computes forward passes of the base on random images in float32 and bfloat16, in batches as a run would, and writes and
reads a file in FOLDER (on the disk of the caches). Prints the row as Python code.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from transfercli.config.schema import ComputeConfig
from transfercli.rows import ArrayRows, SelectedRows

FILE_BYTES = 512 * 1024 * 1024


def multiplications_per_second(base: str, side: int, precision: str, least_seconds: float) -> float:
    """Return the multiplications a second of the base's forward passes in a precision."""
    from transfercli.config.schema import HeadConfig
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier
    from transfercli.models.multiplications import multiplications
    from transfercli.models.surgery import cut_after_base
    from transfercli.transfer.features.prefix import Prefix

    cut = cut_after_base(build_classifier(Architecture(base, (side, side), 3, HeadConfig(), ("a", "b"))))
    prefix = Prefix(cut, precision)
    pixels = np.random.default_rng(0).integers(0, 256, (prefix.batch, side, side, 3)).astype("uint8")
    prefix(pixels)  # compiles
    count, seconds = 4 * prefix.batch, 0.0
    while seconds < least_seconds:
        images = SelectedRows(ArrayRows(pixels), np.arange(count) % prefix.batch)
        started = time.perf_counter()
        for _ in prefix.batches(images, np.arange(count)):
            pass
        seconds = time.perf_counter() - started
        measured, count = count, 2 * count
    return multiplications(cut.prefix) * measured / seconds


def disk_speeds(folder: Path) -> tuple[float, float]:
    """Return the bytes a second read from, and written to, a file; it is read back from memory, as in later epochs."""
    content = np.random.default_rng(0).bytes(FILE_BYTES)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        started = time.perf_counter()
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        written = FILE_BYTES / (time.perf_counter() - started)
        rows = np.memmap(file.name, np.uint8, "r").reshape(-1, 4096)
        order = np.random.default_rng(0).permutation(len(rows))
        started = time.perf_counter()
        for part in np.array_split(order, 1024):
            rows[part]
        return FILE_BYTES / (time.perf_counter() - started), written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="resnet50")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    from transfercli.training.backend import prepare
    from transfercli.training.devices import device_name

    prepare(ComputeConfig(), 0)
    speeds = [
        multiplications_per_second(options.base, options.side, precision, options.seconds)
        for precision in ("float32", "bfloat16")
    ]
    read, written = disk_speeds(options.folder)
    numbers = ", ".join(f"{speed:.1e}" for speed in (*speeds, read, written))
    print(f'DeviceSpeeds("{device_name()}", {numbers}, "measured: {options.base} at {options.side} pixels")')


if __name__ == "__main__":
    main()
