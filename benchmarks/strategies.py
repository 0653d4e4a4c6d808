"""Accuracy and cost of every transfer strategy, for VGG16 with real ImageNet kernels on Fashion-MNIST 5-9, 64 pixels.

Usage: python benchmarks/strategies.py DATA KERNELS OUT.json [--images 5 20 100] [--seeds 3] [--strategies …]

DATA holds `target-N/SEED/{train,test}/CLASS` for N images per class; benchmarks/README.md has the commands. KERNELS is
the weight file. Every run starts with empty caches; `linear_probe` and `auto`, whose seconds are compared, also run in
new processes. The accuracy is that of the first 100 test images of each class.
Writes all results to OUT.json after each run; runs that are in the file already are skipped. Prints two tables at the
end.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.training import history
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.train import TrainRequest, train

TEST_IMAGES = 100  # per class
BATCH = 20
EPOCHS = {5: 20, 20: 10, 100: 5}  # by training images per class
BUDGET = 3  # default of `transfer.budget`, as a multiple of the seconds of the probe
LEARNING_RATE = 1e-3  # of Adam, for a new head; strategies fine-tune the base at a tenth of it
# Config keys of each strategy; the learning rates were chosen beforehand, without test images.
STRATEGIES: dict[str, dict[str, Any]] = {
    "feature_extraction": {"model": {"head": {"hidden": [256]}}},
    "partial": {},
    "gradual": {},
    "full": {},
    "scratch": {"model": {"weights": "none"}, "training": {"optimizer": {"learning_rate": 1e-4}}},
    "linear_probe": {},
    "auto": {},
}
TIMED_IN_NEW_PROCESS = ("linear_probe", "auto")


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the changed keys, merged at every level."""
    nested = {key: merged(base.get(key, {}), value) for key, value in changes.items() if isinstance(value, dict)}
    return {**base, **changes, **nested}


def config_of(work: Path, target: Path, kernels: Path, images: int, seed: int, strategy: str) -> dict[str, Any]:
    """Return the config of a run; images: training images per class."""
    config = {
        "name": strategy,
        "seed": seed,
        "data": {
            "train": str(target / "train"),
            "validation": 0.2,
            "test": str(work / "test.csv"),
            "image_size": 64,
            "batch_size": 16,
        },
        "model": {"base": "vgg16", "weights": {"path": str(kernels)}},
        "transfer": {"strategy": strategy},
        "training": {"epochs": EPOCHS[images], "optimizer": {"name": "adam", "learning_rate": LEARNING_RATE}},
        "compute": {"cache_dir": str(work / "cache")},
    }
    return merged(config, STRATEGIES[strategy])


def write_test_table(target: Path, path: Path) -> None:
    """Write a CSV table of the test images that are used."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label"])
        for folder in sorted((target / "test").iterdir()):
            table.writerows([str(image), folder.name] for image in sorted(folder.iterdir())[:TEST_IMAGES])


def measure(data: Path, kernels: Path, images: int, seed: int, strategy: str) -> dict[str, Any]:
    """Train and test a run; return its accuracy, seconds, best epoch, phases and metrics per epoch."""
    target = data / f"target-{images}" / str(seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_test_table(target, work / "test.csv")
        config = work / "config.yaml"
        config.write_text(yaml.safe_dump(config_of(work, target, kernels, images, seed, strategy)))
        if strategy in TIMED_IN_NEW_PROCESS:
            command = [sys.executable, "-m", "transfercli", "finetune", str(config), "--runs", str(work / "runs")]
            result = json.loads(subprocess.run([*command, "--json"], check=True, stdout=subprocess.PIPE).stdout)
        else:
            result = train(TrainRequest("finetune", config, work / "runs"), Reporter()).as_json()
        trained = RunFolder(Path(result["run"]))
        phases = StoredRun(trained).record.phases
        return {
            "accuracy": test_accuracy(trained, [phase["unfreeze"] for phase in phases], data / "cache"),
            "seconds": result["seconds"]["features"] + result["seconds"]["train"],
            "best_epoch": result["best_epoch"],
            "phases": phases,
            "lines": history.read(trained.metrics),
        }


def test_accuracy(run: RunFolder, unfrozen: list[Any], cache: Path) -> float:
    """Return the accuracy on the test images, equal to that of `evaluate`.

    Layers that no phase trained are computed once for all runs: their features come from the cache.
    """
    import numpy as np

    from transfercli.models.forward import forward
    from transfercli.models.surgery import cut_below
    from transfercli.transfer.features.features import FeatureCache
    from transfercli.transfer.features.prefix import Prefix
    from transfercli.transfer.phase_builder import upper_model

    stored = StoredRun(run)
    split = stored.split("test")
    order = ["all", *stored.classifier.stages, "none"]
    cut = cut_below(stored.classifier, min(unfrozen, key=order.index))
    if cut is None:
        logits = forward(stored.classifier.model, split.images, BATCH, Reporter())
    else:
        features = FeatureCache(cache, 10**10, "stretch", Reporter()).features(split, Prefix(cut, "float32"))
        logits = forward(upper_model(cut), features, BATCH, Reporter())
    return float(np.mean(logits.argmax(1) == split.targets))


def print_tables(results: dict[str, dict[str, Any]], sizes: list[int]) -> None:
    """Print accuracy and seconds by strategy, and the phases that `auto` trained and kept, as Markdown tables."""

    def runs_of(images: int, strategy: str) -> list[dict[str, Any]]:
        return [results[key] for key in sorted(results) if key.split("/")[::2] == [str(images), strategy]]

    print("| strategy |", " | ".join(f"{images} per class | seconds" for images in sizes), "| mean |")
    print("| --- |" + " --- |" * (2 * len(sizes) + 1))
    for strategy in STRATEGIES:
        if not all(runs_of(images, strategy) for images in sizes):
            continue
        cells, means = [], []
        for images in sizes:
            accuracies = [run["accuracy"] for run in runs_of(images, strategy)]
            means.append(statistics.mean(accuracies))
            cells.append(f"{means[-1]:.3f} ± {statistics.stdev(accuracies) if accuracies[1:] else 0:.3f}")
            cells.append(f"{statistics.median(run['seconds'] for run in runs_of(images, strategy)):.0f}")
        print(f"| {strategy} |", " | ".join(cells), f"| {statistics.mean(means):.3f} |")
    print("\n| images per class | seed | linear_probe, seconds | auto, seconds | share of budget | trained | kept |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for images in sizes:
        pairs = zip(runs_of(images, "linear_probe"), runs_of(images, "auto"), strict=False)
        for seed, (probe, auto) in enumerate(pairs):
            share = auto["seconds"] / (BUDGET * probe["seconds"])
            seconds = f"{probe['seconds']:.1f} | {auto['seconds']:.1f} | {share:.0%}"
            print(f"| {images} | {seed} | {seconds} | {' | '.join(trained_and_kept(auto))} |")


def trained_and_kept(auto: dict[str, Any]) -> tuple[str, str]:
    """Return the phase that `auto` trained after the probe, and the phase whose weights it kept."""
    trained = [f"{phase['unfreeze']}, {phase['epochs']} epochs" for phase in auto["phases"] if phase["epochs"]]
    best = next(line for line in auto["lines"] if line["epoch"] == auto["best_epoch"])
    kept = auto["phases"][best["phase"] - 1]["kind"]
    return trained[0] if trained else "nothing", {"train": f"epoch {best['epoch']}"}.get(kept, kept)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("kernels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, nargs="*", default=list(EPOCHS), help="training images per class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES))
    args = parser.parse_args()
    results: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    for seed, images, strategy in itertools.product(range(args.seeds), args.images, args.strategies):
        key = f"{images}/{seed}/{strategy}"
        if key not in results:
            results[key] = measure(args.data.absolute(), args.kernels.absolute(), images, seed, strategy)
            args.out.write_text(json.dumps(results, indent=1) + "\n")
            print(key, results[key]["accuracy"], round(results[key]["seconds"], 1), flush=True)
    print_tables(results, args.images)


if __name__ == "__main__":
    main()
