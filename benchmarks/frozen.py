"""Cost of training on a frozen base, compared with one forward pass and with a plain Keras script.

Usage: python -m benchmarks.frozen OUT.json [--parts vgg16 resnet50 conv5 block] [--repeats 3] [--images N]

Generates images and random weights. Prints, and writes to OUT.json, medians over the repeats; both parts of a ratio are
measured one after the other in the same repeat:

- vgg16 (150 pixels), resnet50 (224 pixels): seconds of `finetune` in this process, 30 epochs of a head with 256 hidden
  units on the frozen base with an empty cache (cold), then of another head at another learning rate (warm); relative
  to `pass`: all images through the base in Keras's `predict`, batch 32, from preprocessed arrays in memory, already
  compiled; and to `script`: one epoch of the frozen base and the same head inside `fit`, already compiled, times 30;
- conv5, block: ResNet50 at 160 pixels, conv5 or its last block trains for 10 epochs, with the cache and with
  `compute.cache: off`; and the largest difference of the trained weights in float32.

`times_pass` counts the steps features and train, `total_times_pass` all from reading the config to the last file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from benchmarks import workbench

EPOCHS, HIDDEN = 30, 256


@dataclass(frozen=True)
class Inputs:
    """Images and weights on disk; side: of the images, in pixels."""

    work: Path
    base: str
    side: int
    images: Path
    weights: Path

    @classmethod
    def create(cls, work: Path, base: str, side: int, count: int) -> Inputs:
        """Generate the files that are missing in the folder `work`."""
        images = work / f"images-{side}-{count}"
        if not images.exists():
            workbench.write_images(images, count, side)
        weights = work / f"{base}-{side}.safetensors"
        if not weights.exists():
            workbench.write_weights(weights, base, workbench.read_images(images)[0])
        return cls(work, base, side, images, weights)


def measure_frozen(data: Inputs) -> dict[str, float]:
    """Measure one repeat: a forward pass, a script's epoch, and 30 epochs without and with features in the cache."""
    from benchmarks.plain import PlainKeras

    plain = PlainKeras(data.base, data.weights, data.images)
    pass_seconds, script_seconds = plain.pass_seconds(), EPOCHS * plain.epoch_seconds(HIDDEN)
    costs = {"pass": pass_seconds, "script": script_seconds}
    del plain
    with tempfile.TemporaryDirectory(dir=data.work) as cache:
        for name, hidden, rate in (("cold", HIDDEN, 1e-3), ("warm", HIDDEN // 2, 3e-3)):
            config = workbench.make_config(
                data.images,
                data.weights,
                data.base,
                data.side,
                Path(cache),
                head={"hidden": [hidden]},
                training={"epochs": EPOCHS, "optimizer": {"learning_rate": rate}},
                transfer={"strategy": "feature_extraction"},
            )
            result = workbench.finetune(data.work, f"{data.base}-{name}", config)
            seconds = result["seconds"]
            training = seconds["features"] + seconds["train"]
            costs |= {f"{name}_{step}": seconds[step] for step in seconds}
            costs |= {f"{name}_misses": result["cache"]["features"]["misses"]}
            costs |= {f"{name}_times_pass": training / pass_seconds}
            costs |= {f"{name}_total_times_pass": seconds["total"] / pass_seconds}
            costs |= {f"{name}_less_than_script": script_seconds / training}
    shutil.rmtree(data.work / "runs")
    return costs


def measure_partial(data: Inputs, unfreeze: str, epochs: int = 10) -> dict[str, float]:
    """Measure one repeat: the same phase with and without the cache."""
    costs, tensors = {}, {}
    with tempfile.TemporaryDirectory(dir=data.work) as folder:
        for precision in ("auto", "float32"):
            for name, cache in (("cached", Path(folder)), ("uncached", None)):
                config = workbench.make_config(
                    data.images,
                    data.weights,
                    data.base,
                    data.side,
                    cache,
                    compute={"precision": precision},
                    transfer={"phases": [{"unfreeze": unfreeze, "epochs": epochs, "learning_rate": 1e-4}]},
                )
                result = workbench.finetune(data.work, f"{unfreeze}-{name}-{precision}", config)
                costs[f"{name}_{precision}"] = result["seconds"]["features"] + result["seconds"]["train"]
                tensors[name, precision] = trained_weights(Path(result["run"]))
            costs[f"ratio_{precision}"] = costs[f"uncached_{precision}"] / costs[f"cached_{precision}"]
    cached, uncached = tensors["cached", "float32"], tensors["uncached", "float32"]
    costs["largest_difference"] = max(float(abs(cached[name] - uncached[name]).max()) for name in uncached)
    shutil.rmtree(data.work / "runs")
    return costs


def trained_weights(run: Path) -> dict[str, np.ndarray]:
    """Return the tensors of the run's last checkpoint by name."""
    return safetensors.numpy.load_file(run / "checkpoints" / "last" / "model.safetensors")


@dataclass(frozen=True)
class Part:
    """A measurement with its base, side in pixels and number of images."""

    base: str
    side: int
    images: int
    measure: Callable[[Inputs], dict[str, float]]


PARTS = {
    "vgg16": Part("vgg16", 150, 400, measure_frozen),
    "resnet50": Part("resnet50", 224, 600, measure_frozen),
    "conv5": Part("resnet50", 160, 192, partial(measure_partial, unfreeze="conv5")),
    "block": Part("resnet50", 160, 192, partial(measure_partial, unfreeze="conv5_block3_1_conv")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, help="instead of the number in PARTS")
    args = parser.parse_args()
    workbench.prepare_backend()
    results: dict[str, Any] = {"load": os.getloadavg()[0], "repeats": args.repeats}
    with tempfile.TemporaryDirectory() as work:
        for name in args.parts:
            part = PARTS[name]
            data = Inputs.create(Path(work), part.base, part.side, args.images or part.images)
            repeats = [part.measure(data) for _ in range(args.repeats)]
            results[name] = {"images": args.images or part.images, **workbench.median(repeats)}
            print(name, json.dumps(results[name]), flush=True)
            args.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
