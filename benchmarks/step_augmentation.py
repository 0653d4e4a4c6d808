"""Seconds of augmentation inside the compiled step of JAX, relative to the host's.

Usage: KERAS_BACKEND=jax python -m benchmarks.step_augmentation [--images 32] [--side 64] [--repeats 7]

Prints a Markdown table: medians over the repeats, each preset measured in turns with the other way.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import workbench


def main() -> None:
    """Measure all presets and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    workbench.prepare_backend()
    print("| preset | host, ms | step, ms | host / step | compiling, s |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for preset in ("light", "medium", "strong"):
        host, step, compiling = measure(preset, args.images, args.side, args.repeats)
        print(f"| `{preset}` | {1e3 * host:.0f} | {1e3 * step:.0f} | {host / step:.1f} | {compiling:.1f} |", flush=True)


def measure(preset: str, count: int, side: int, repeats: int) -> tuple[float, float, float]:
    """Return the seconds of a batch on the host and in the step, and of compiling."""
    import jax

    from transfercli.data.batching.augment import PRESETS, Augment
    from transfercli.data.batching.step_augmentation import StepAugmentation, image_keys

    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    keys, zeros, ones = image_keys(0, 1, np.arange(count)), np.zeros(count, np.int32), np.ones(count, np.float32)
    augment = Augment(PRESETS[preset])
    compiled = jax.jit(StepAugmentation(augment).__call__)

    def in_step() -> Any:
        return np.asarray(compiled(images, keys, zeros, ones)[0])

    def on_host() -> Any:
        return augment(images, (0, 1, 2))

    compiling = _seconds(in_step)
    on_host()
    pairs = [(_seconds(on_host), _seconds(in_step)) for _ in range(repeats)]
    host, step = (statistics.median(column) for column in zip(*pairs, strict=True))
    return host, step, compiling


def _seconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
