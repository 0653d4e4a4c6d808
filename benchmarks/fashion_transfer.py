"""Does transfer pay? Fine-tuning from a pretrained base beside the same network from scratch, on Fashion-MNIST.

usage: fashion_transfer.py DATA OUT.json [--bases small_cnn vgg16] [--images 5 20] [--seeds 5] [--vgg16-kernels FILE]

DATA holds `source/{train,test}/CLASS` (classes 0-4) and, for each seed, `target-5/SEED/{train,test}/CLASS` and
`target-20/SEED/…` (classes 5-9 with 5 and 20 training images a class), which benchmarks/README.md says how to write.
Both arms train the same epochs, each at the learning rate that did best for it on the validation images of seed 0's
data (with another training seed, 100), tried over the same grid.
Prints one line an experiment and writes all figures to OUT.json, setting by setting; what is in it already is not
measured again. Runs the program's own workflows in one process.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.train.train import TrainRequest, train

EPOCHS = 30
RATES = {"small_cnn": (1e-3, 3e-3, 1e-2), "vgg16": (1e-4, 1e-3, 1e-2)}
SOURCE = {"small_cnn": (6, 1e-3), "vgg16": (2, 1e-4)}  # epochs and learning rate of the pretraining


def fit(work: Path, name: str, command: str, settings: dict[str, Any]) -> dict[str, Any]:
    config = work / f"{name}.yaml"
    config.write_text(yaml.safe_dump({"name": name, **settings}))
    request = TrainRequest(command, config, work / "runs", run_id="run-0")  # type: ignore[arg-type]
    return train(request, Reporter()).as_json()


def settings(data: Path, base: str, size: int, seed: int, rate: float) -> dict[str, Any]:
    return {
        "seed": seed,
        "data": {
            "train": str(data / "train"),
            "validation": 0.2,
            "test": str(data / "test"),
            "image_size": size,
            "batch_size": 16,
        },
        "model": {"base": base},
        "training": {"epochs": EPOCHS, "optimizer": {"name": "adam", "learning_rate": rate}},
        "compute": {"cache_dir": str(data.parent.parent / "cache")},
    }


def arm(work: Path, data: Path, base: str, size: int, how: str, weights: Any, seed: int, rate: float) -> dict[str, Any]:
    """Train one arm; the result with its run folder."""
    chosen = settings(data, base, size, seed, rate)
    chosen["model"]["weights"] = weights if how == "finetune" else "none"
    chosen["transfer"] = {"strategy": "feature_extraction" if how == "finetune" else "scratch"}
    name = f"{base}-{size}-{data.parent.name}-{how}-{seed}-{rate:g}"
    return fit(work, name, "finetune", chosen)


def compare(work: Path, data: Path, base: str, size: int, weights: Any, seeds: int) -> dict[str, Any]:
    """Both arms of one setting: the tuned rates, and test accuracy over the seeds."""
    found: dict[str, Any] = {}
    for how in ("finetune", "scratch"):
        begun = time.perf_counter()
        tuned = {r: arm(work, data / "0", base, size, how, weights, 100, r)["metrics"]["val_loss"] for r in RATES[base]}
        rate = min(tuned, key=lambda r: tuned[r])
        accuracies, seconds = [], []
        for seed in range(seeds):
            result = arm(work, data / str(seed), base, size, how, weights, seed, rate)
            evaluated = evaluate_run(EvaluateRequest(result["run"], work / "runs"), Reporter()).evaluation
            shutil.rmtree(result["run"])
            accuracies.append(evaluated.metrics["accuracy"])
            seconds.append(result["seconds"]["train"])
        found[how] = {
            "rate": rate,
            "accuracies": accuracies,
            "mean": statistics.mean(accuracies),
            "sd": statistics.stdev(accuracies),
            "train_seconds": statistics.median(seconds),
            "wall": time.perf_counter() - begun,
        }
        print(base, size, data.name, how, json.dumps(found[how]), flush=True)
    return found


def pretrained(work: Path, data: Path, base: str) -> dict[str, Any]:
    epochs, rate = SOURCE[base]
    chosen = settings(data / "source", base, 32, 0, rate)
    chosen["data"] |= {"validation": 0.1, "batch_size": 32, "test": None}
    chosen["training"]["epochs"] = epochs
    chosen["model"]["weights"] = "none"
    result = fit(work, f"source-{base}", "pretrain", chosen)
    print("source", base, result["metrics"], result["seconds"], flush=True)
    return {"run": f"source-{base}"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bases", nargs="*", default=["small_cnn", "vgg16"])
    parser.add_argument("--images", type=int, nargs="*", default=[5, 20], help="training images a class")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--vgg16-kernels", type=Path)
    given = parser.parse_args()
    found: dict[str, Any] = json.loads(given.out.read_text()) if given.out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)

        def measure(key: str, images: int, base: str, size: int, weights: Any) -> None:
            found[key] = compare(work, given.data / f"target-{images}", base, size, weights, given.seeds)
            given.out.write_text(json.dumps(found, indent=2) + "\n")

        key = "vgg16 kernels 64, 5 a class"
        if given.vgg16_kernels and key not in found:
            measure(key, 5, "vgg16", 64, {"path": str(given.vgg16_kernels.absolute())})
        for base in given.bases:
            missing = {f"{base} 32, {images} a class": images for images in given.images}
            missing = {key: images for key, images in missing.items() if key not in found}
            weights = pretrained(work, given.data, base) if missing else None
            for key, images in missing.items():
                measure(key, images, base, 32, weights)


if __name__ == "__main__":
    main()
