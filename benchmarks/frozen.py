"""What does a frozen base cost? The program's own trainings beside one plain pass, and beside the usual script.

usage: frozen.py OUT.json [--parts vgg16 resnet50 conv5 block] [--repeats 3] [--images N]

Makes its own pictures and random weights. Prints, and writes to OUT.json, medians over the repeats, every ratio taken
within one repeat, its sides measured one after the other:

- vgg16 (150 pixels), resnet50 (224): 30 epochs of a head with 256 hidden units on the frozen base, nothing in the
  cache (cold), then another head at another rate (warm), through `finetune` in this process, against `pass`: all
  pictures through the base in Keras's `predict`, batch 32, from preprocessed arrays in memory, already compiled;
  and against `script`: one epoch of the frozen base and the same head inside `fit`, already compiled, times 30;
- conv5, block: ResNet50 at 160 pixels, from conv5 or from conv5's last block upwards, 10 epochs, with the cache and
  with `compute.cache: off`; and the largest difference of the trained weights in float32.

`times_pass` counts the stages features and train, `total_times_pass` all from reading the config to the last file.
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
class Data:
    """Pictures and weights on disk."""

    work: Path
    base: str
    side: int
    pictures: Path
    weights: Path

    @classmethod
    def made(cls, work: Path, base: str, side: int, count: int) -> Data:
        pictures = work / f"pictures-{side}-{count}"
        if not pictures.exists():
            workbench.write_pictures(pictures, count, side)
        weights = work / f"{base}-{side}.safetensors"
        if not weights.exists():
            workbench.write_weights(weights, base, workbench.read_pictures(pictures)[0])
        return cls(work, base, side, pictures, weights)


def frozen(data: Data) -> dict[str, float]:
    """One repeat: a plain pass, 30 epochs without and with features in the cache, an epoch of the script."""
    from benchmarks.plain import Plain

    plain = Plain(data.base, data.weights, data.pictures)
    once, script = plain.one_pass(), EPOCHS * plain.script_epoch(HIDDEN)
    found = {"pass": once, "script": script}
    del plain
    with tempfile.TemporaryDirectory(dir=data.work) as cache:
        for name, hidden, rate in (("cold", HIDDEN, 1e-3), ("warm", HIDDEN // 2, 3e-3)):
            config = workbench.settings(
                data.pictures,
                data.weights,
                data.base,
                data.side,
                Path(cache),
                head={"hidden": [hidden]},
                training={"epochs": EPOCHS, "optimizer": {"learning_rate": rate}},
                transfer={"strategy": "feature_extraction"},
            )
            result = workbench.fit(data.work, f"{data.base}-{name}", config)
            taken = result["seconds"]
            spent = taken["features"] + taken["train"]
            found |= {f"{name}_{stage}": taken[stage] for stage in taken}
            found |= {f"{name}_misses": result["cache"]["features"]["misses"]}
            found |= {f"{name}_times_pass": spent / once, f"{name}_total_times_pass": taken["total"] / once}
            found |= {f"{name}_less_than_script": script / spent}
    shutil.rmtree(data.work / "runs")
    return found


def partly(data: Data, unfreeze: str, epochs: int = 10) -> dict[str, float]:
    """One repeat: the same phase cached and uncached."""
    found, tensors = {}, {}
    with tempfile.TemporaryDirectory(dir=data.work) as folder:
        for precision in ("auto", "float32"):
            for name, cache in (("cached", Path(folder)), ("uncached", None)):
                config = workbench.settings(
                    data.pictures,
                    data.weights,
                    data.base,
                    data.side,
                    cache,
                    compute={"precision": precision},
                    transfer={"phases": [{"unfreeze": unfreeze, "epochs": epochs, "learning_rate": 1e-4}]},
                )
                result = workbench.fit(data.work, f"{unfreeze}-{name}-{precision}", config)
                found[f"{name}_{precision}"] = result["seconds"]["features"] + result["seconds"]["train"]
                tensors[name, precision] = trained(Path(result["run"]))
            found[f"ratio_{precision}"] = found[f"uncached_{precision}"] / found[f"cached_{precision}"]
    ours, plain = tensors["cached", "float32"], tensors["uncached", "float32"]
    found["largest_difference"] = max(float(abs(ours[name] - plain[name]).max()) for name in plain)
    shutil.rmtree(data.work / "runs")
    return found


def trained(run: Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(run / "checkpoints" / "last" / "model.safetensors")


@dataclass(frozen=True)
class Part:
    base: str
    side: int
    images: int
    measure: Callable[[Data], dict[str, float]]


PARTS = {
    "vgg16": Part("vgg16", 150, 400, frozen),
    "resnet50": Part("resnet50", 224, 600, frozen),
    "conv5": Part("resnet50", 160, 192, partial(partly, unfreeze="conv5")),
    "block": Part("resnet50", 160, 192, partial(partly, unfreeze="conv5_block3_1_conv")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, help="instead of each part's own number")
    given = parser.parse_args()
    workbench.quiet_backend()
    found: dict[str, Any] = {"load": os.getloadavg()[0], "repeats": given.repeats}
    with tempfile.TemporaryDirectory() as work:
        for name in given.parts:
            part = PARTS[name]
            data = Data.made(Path(work), part.base, part.side, given.images or part.images)
            repeats = [part.measure(data) for _ in range(given.repeats)]
            found[name] = {"images": given.images or part.images, **workbench.median(repeats)}
            print(name, json.dumps(found[name]), flush=True)
            given.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
