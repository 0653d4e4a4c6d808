"""Benefit of transfer: fine-tuning from a pretrained base, compared with training from scratch, on Fashion-MNIST.

Usage: python benchmarks/fashion_transfer.py DATA OUT.json [--bases small_cnn vgg16] [--images 5 20] [--seeds 5]
                                             [--vgg16-kernels FILE]

DATA holds `source/{train,test}/CLASS` (classes 0-4) and, for each seed, `target-5/SEED/{train,test}/CLASS` and
`target-20/SEED/…` (classes 5-9 with 5 and 20 training images per class); benchmarks/README.md has the commands.
Both methods train for the same number of epochs, each at its best learning rate: the one of the same grid with the
lowest validation loss on the data of seed 0 (with training seed 100).
Prints one line per experiment and writes all results to OUT.json after each setting; settings that are in the file
already are skipped. Runs the program's own workflows in one process.
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
LEARNING_RATES = {"small_cnn": (1e-3, 3e-3, 1e-2), "vgg16": (1e-4, 1e-3, 1e-2)}
PRETRAINING = {"small_cnn": (6, 1e-3), "vgg16": (2, 1e-4)}  # epochs, learning rate


def fit(work: Path, name: str, command: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Run `pretrain` or `finetune` in this process and return its JSON result."""
    config = work / f"{name}.yaml"
    config.write_text(yaml.safe_dump({"name": name, **settings}))
    request = TrainRequest(command, config, work / "runs", run_id="run-0")  # type: ignore[arg-type]
    return train(request, Reporter()).as_json()


def settings(data: Path, base: str, size: int, seed: int, learning_rate: float) -> dict[str, Any]:
    """Return a config without a name, weights and a strategy; size: of the network's input, in pixels."""
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
        "training": {"epochs": EPOCHS, "optimizer": {"name": "adam", "learning_rate": learning_rate}},
        "compute": {"cache_dir": str(data.parent.parent / "cache")},
    }


def train_target(
    work: Path, data: Path, base: str, size: int, method: str, weights: Any, seed: int, learning_rate: float
) -> dict[str, Any]:
    """Train on the target data by one method, finetune or scratch, and return the result, with the run folder."""
    config = settings(data, base, size, seed, learning_rate)
    config["model"]["weights"] = weights if method == "finetune" else "none"
    config["transfer"] = {"strategy": "feature_extraction" if method == "finetune" else "scratch"}
    name = f"{base}-{size}-{data.parent.name}-{method}-{seed}-{learning_rate:g}"
    return fit(work, name, "finetune", config)


def compare(work: Path, data: Path, base: str, size: int, weights: Any, seeds: int) -> dict[str, Any]:
    """Train by both methods, and return the tuned learning rates and the test accuracy for each seed."""
    results: dict[str, Any] = {}
    for method in ("finetune", "scratch"):
        started = time.perf_counter()
        losses = {}
        for rate in LEARNING_RATES[base]:
            result = train_target(work, data / "0", base, size, method, weights, 100, rate)
            losses[rate] = result["metrics"]["val_loss"]
        best_rate = min(losses, key=lambda rate: losses[rate])
        accuracies, seconds = [], []
        for seed in range(seeds):
            result = train_target(work, data / str(seed), base, size, method, weights, seed, best_rate)
            evaluation = evaluate_run(EvaluateRequest(result["run"], work / "runs"), Reporter()).evaluation
            shutil.rmtree(result["run"])
            accuracies.append(evaluation.metrics["accuracy"])
            seconds.append(result["seconds"]["train"])
        results[method] = {
            "rate": best_rate,
            "accuracies": accuracies,
            "mean": statistics.mean(accuracies),
            "sd": statistics.stdev(accuracies),
            "train_seconds": statistics.median(seconds),
            "wall": time.perf_counter() - started,
        }
        print(base, size, data.name, method, json.dumps(results[method]), flush=True)
    return results


def pretrain(work: Path, data: Path, base: str) -> dict[str, Any]:
    """Train the base on the source classes and return `model.weights` that refer to its run."""
    epochs, learning_rate = PRETRAINING[base]
    config = settings(data / "source", base, 32, 0, learning_rate)
    config["data"] |= {"validation": 0.1, "batch_size": 32, "test": None}
    config["training"]["epochs"] = epochs
    config["model"]["weights"] = "none"
    result = fit(work, f"source-{base}", "pretrain", config)
    print("source", base, result["metrics"], result["seconds"], flush=True)
    return {"run": f"source-{base}"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bases", nargs="*", default=["small_cnn", "vgg16"])
    parser.add_argument("--images", type=int, nargs="*", default=[5, 20], help="training images per class")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--vgg16-kernels", type=Path)
    args = parser.parse_args()
    results: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)

        def measure(key: str, images: int, base: str, size: int, weights: Any) -> None:
            results[key] = compare(work, args.data / f"target-{images}", base, size, weights, args.seeds)
            args.out.write_text(json.dumps(results, indent=2) + "\n")

        key = "vgg16 kernels 64, 5 a class"
        if args.vgg16_kernels and key not in results:
            measure(key, 5, "vgg16", 64, {"path": str(args.vgg16_kernels.absolute())})
        for base in args.bases:
            missing = {f"{base} 32, {images} a class": images for images in args.images}
            missing = {key: images for key, images in missing.items() if key not in results}
            weights = pretrain(work, args.data, base) if missing else None
            for key, images in missing.items():
                measure(key, images, base, 32, weights)


if __name__ == "__main__":
    main()
