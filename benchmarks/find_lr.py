"""Use of `--find-lr`: accuracy with the suggested learning rate, the default and the best rate of a grid.

Usage: python benchmarks/find_lr.py DATA VGG16_WEIGHTS [--seeds N] [--settings NAME…]
                                                         [--optimizers NAME…] [--cache DIR]

DATA holds `train/CLASS` (20 images of each class of Fashion-MNIST) and `test/CLASS`, of which
the first images of each class measure the accuracy after the last epoch: no epoch and no rate is chosen by them.
VGG16_WEIGHTS: Keras' published ImageNet weights. Prints a Markdown table; runs the program's own workflows in one
process.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import yaml

from transfercli.reporting import Reporter
from transfercli.workflows.train.find_rate import FindRateRequest, find_learning_rate
from transfercli.workflows.train.train import TrainRequest, train

DEFAULT = 1e-3
GRID = {"adam": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1), "sgd": (1e-4, 1e-3, 1e-2, 1e-1, 1.0)}
# Name -> side of the images, test images a class, epochs, sections of the config.
SETTINGS: dict[str, tuple[int, int, int, dict[str, Any]]] = {
    "frozen base": (64, 100, 20, {"transfer": {"strategy": "feature_extraction"}}),
    "frozen base, hidden layer": (
        64,
        100,
        20,
        {"transfer": {"strategy": "feature_extraction"}, "model": {"head": {"hidden": [256]}}},
    ),
    "partial": (64, 100, 10, {"transfer": {"strategy": "partial"}}),
    "partial, hidden layer": (64, 100, 12, {"transfer": {"strategy": "partial"}, "model": {"head": {"hidden": [256]}}}),
    "full": (32, 50, 4, {"transfer": {"strategy": "full"}}),
}


def measure(work: Path, config: Path, rate: float) -> float:
    """Return the accuracy on the test images after the last epoch of a training at a rate."""
    overrides = (f"training.optimizer.learning_rate={rate!r}",)
    result = train(TrainRequest("finetune", config, work / "runs", overrides), Reporter())
    lines = (Path(result.as_json()["run"]) / "metrics.jsonl").read_text().splitlines()
    return float(json.loads(lines[-1])["val_accuracy"])


def first_images(source: Path, target: Path, count: int) -> Path:
    """Copy the first images of each class and return the folder."""
    for folder in sorted(source.iterdir()):
        (target / folder.name).mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir())[:count]:
            shutil.copy(path, target / folder.name)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--optimizers", nargs="+", default=list(GRID), choices=list(GRID))
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    print(
        "| strategy | optimizer | suggested | steepest | default 1e-3 | suggested rate | steepest rate | best of grid |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in options.settings:
            count = SETTINGS[name][1]
            test = first_images(options.data / "test", work / f"test-{count}", count)
            for optimizer in options.optimizers:
                rows = [compared(work, options, name, optimizer, seed, test) for seed in range(options.seeds)]
                print_row(name, optimizer, rows)


def compared(
    work: Path, options: argparse.Namespace, name: str, optimizer: str, seed: int, test: Path
) -> dict[str, Any]:
    """Return the suggested rates of a setting, and rate -> accuracy."""
    side, _, epochs, sections = SETTINGS[name]
    config = work / f"{name.replace(', ', '-').replace(' ', '-')}-{optimizer}-{seed}.yaml"
    cache = options.cache or work / "cache"
    model = {"base": "vgg16", "weights": {"path": str(options.weights.resolve())}, **sections.get("model", {})}
    content = {
        "name": config.stem,
        "seed": seed,
        "data": {
            "train": str((options.data / "train").resolve()),
            "validation": str(test.resolve()),
            "test": None,
            "image_size": side,
        },
        "training": {"epochs": epochs, "optimizer": {"name": optimizer}},
        "compute": {"cache_dir": str(cache.resolve())},
        "tracking": {"tensorboard": False},
        **sections,
        "model": model,
    }
    config.write_text(yaml.safe_dump(content))
    found = find_learning_rate(FindRateRequest("finetune", config, work / "runs"), Reporter())
    suggested, steepest = found.suggestion, found.found.steepest if found.found else None
    rates = {*GRID[optimizer], *(rate for rate in (suggested, steepest) if rate)}
    accuracies = {rate: measure(work, config, rate) for rate in sorted(rates)}
    shutil.rmtree(work / "runs")
    print(f"<!-- {config.stem} {suggested} {steepest} {accuracies} -->", flush=True)
    return {"suggested": suggested, "steepest": steepest, "accuracies": accuracies}


def print_row(name: str, optimizer: str, rows: list[dict[str, Any]]) -> None:
    def mean(values: list[float]) -> str:
        return f"{statistics.mean(values):.3f}"

    grid = {rate: statistics.mean(row["accuracies"][rate] for row in rows) for rate in GRID[optimizer]}
    best = max(grid, key=lambda rate: grid[rate])
    rates = [", ".join(f"{row[key]:.2g}" if row[key] else "none" for row in rows) for key in ("suggested", "steepest")]
    at = [mean([row["accuracies"][row[key] or DEFAULT] for row in rows]) for key in ("suggested", "steepest")]
    print(
        f"| {name} | {optimizer} | {rates[0]} | {rates[1]} | {grid[DEFAULT]:.3f} | {at[0]} | {at[1]} |"
        f" {grid[best]:.3f} ({best:g}) |",
        flush=True,
    )


if __name__ == "__main__":
    main()
