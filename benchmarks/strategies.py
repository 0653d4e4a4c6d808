"""Every strategy beside `auto`: VGG16 with real ImageNet kernels on Fashion-MNIST 5-9, at 64 pixels.

usage: strategies.py DATA KERNELS OUT.json [--images 5 20 100] [--seeds 3] [--strategies …]

DATA holds `target-N/SEED/{train,test}/CLASS` for N images a class; benchmarks/README.md says how to write them. KERNELS
is the weights file. Every run starts with empty caches; `linear_probe` and `auto`, whose seconds are compared, also
each in a process of its own. Tested on the first 100 test images of each class, the same for all.
Writes all figures to OUT.json, run by run; what is in it already is not measured again. Prints two tables at the end.
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

TESTED = 100  # images a class
BATCH = 20  # of them
EPOCHS = {5: 20, 20: 10, 100: 5}  # by images a class
BUDGET = 3  # the default of `transfer.budget`, in times of the probe
RATE = 1e-3  # of Adam, for a new head; what is fine-tuned gets a tenth of it from its strategy
# What differs from the rest of the config; a rate a strategy, chosen beforehand and never on test images.
STRATEGIES: dict[str, dict[str, Any]] = {
    "feature_extraction": {"model": {"head": {"hidden": [256]}}},
    "partial": {},
    "gradual": {},
    "full": {},
    "scratch": {"model": {"weights": "none"}, "training": {"optimizer": {"learning_rate": 1e-4}}},
    "linear_probe": {},
    "auto": {},
}
TIMED = ("linear_probe", "auto")


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with the changed keys, at every level."""
    inner = {key: merged(base.get(key, {}), value) for key, value in changes.items() if isinstance(value, dict)}
    return {**base, **changes, **inner}


def config_of(work: Path, target: Path, kernels: Path, images: int, seed: int, strategy: str) -> dict[str, Any]:
    shared = {
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
        "training": {"epochs": EPOCHS[images], "optimizer": {"name": "adam", "learning_rate": RATE}},
        "compute": {"cache_dir": str(work / "cache")},
    }
    return merged(shared, STRATEGIES[strategy])


def write_tested(target: Path, path: Path) -> None:
    """The test images that are predicted, as a list."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for folder in sorted((target / "test").iterdir()):
            rows.writerows([str(image), folder.name] for image in sorted(folder.iterdir())[:TESTED])


def run(data: Path, kernels: Path, images: int, seed: int, strategy: str) -> dict[str, Any]:
    """Train and test; what was chosen, how good it is, and what it took."""
    target = data / f"target-{images}" / str(seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_tested(target, work / "test.csv")
        config = work / "config.yaml"
        config.write_text(yaml.safe_dump(config_of(work, target, kernels, images, seed, strategy)))
        if strategy in TIMED:
            command = [sys.executable, "-m", "transfercli", "finetune", str(config), "--runs", str(work / "runs")]
            result = json.loads(subprocess.run([*command, "--json"], check=True, stdout=subprocess.PIPE).stdout)
        else:
            result = train(TrainRequest("finetune", config, work / "runs"), Reporter()).as_json()
        trained = RunFolder(Path(result["run"]))
        phases = StoredRun(trained).record.phases
        return {
            "accuracy": accuracy(trained, [phase["unfreeze"] for phase in phases], data / "cache"),
            "seconds": result["seconds"]["features"] + result["seconds"]["train"],
            "best_epoch": result["best_epoch"],
            "phases": phases,
            "lines": history.read(trained.metrics),
        }


def accuracy(run: RunFolder, trained: list[Any], cache: Path) -> float:
    """Of the test images, as `evaluate` has it; what no phase of the run trained gives features from the cache."""
    import numpy as np

    from transfercli.models.forward import forward
    from transfercli.models.surgery import cut_below
    from transfercli.transfer.features.features import FeatureCache
    from transfercli.transfer.features.prefix import Prefix
    from transfercli.transfer.stages import upper_model

    loaded = StoredRun(run)
    split = loaded.split("test")
    order = ["all", *loaded.classifier.stages, "none"]
    cut = cut_below(loaded.classifier, min(trained, key=order.index))
    if cut is None:
        logits = forward(loaded.classifier.model, split.images, BATCH, Reporter())
    else:
        features = FeatureCache(cache, 10**10, "stretch", Reporter()).features(split, Prefix(cut, "float32"))
        logits = forward(upper_model(cut), features, BATCH, Reporter())
    return float(np.mean(logits.argmax(1) == split.targets))


def print_tables(found: dict[str, dict[str, Any]], sizes: list[int]) -> None:
    """Accuracy and seconds by strategy, and what `auto` did, as Markdown."""

    def of(images: int, strategy: str) -> list[dict[str, Any]]:
        return [found[key] for key in sorted(found) if key.split("/")[::2] == [str(images), strategy]]

    print("| strategy |", " | ".join(f"{images} a class | seconds" for images in sizes), "| mean |")
    print("| --- |" + " --- |" * (2 * len(sizes) + 1))
    for strategy in STRATEGIES:
        if not all(of(images, strategy) for images in sizes):
            continue
        cells, means = [], []
        for images in sizes:
            accuracies = [one["accuracy"] for one in of(images, strategy)]
            means.append(statistics.mean(accuracies))
            cells.append(f"{means[-1]:.3f} ± {statistics.stdev(accuracies) if accuracies[1:] else 0:.3f}")
            cells.append(f"{statistics.median(one['seconds'] for one in of(images, strategy)):.0f}")
        print(f"| {strategy} |", " | ".join(cells), f"| {statistics.mean(means):.3f} |")
    print("\n| images a class | seed | probe alone, seconds | auto, seconds | of its budget | trained | kept |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for images in sizes:
        for seed, (probe, auto) in enumerate(zip(of(images, "linear_probe"), of(images, "auto"), strict=False)):
            used = auto["seconds"] / (BUDGET * probe["seconds"])
            seconds = f"{probe['seconds']:.1f} | {auto['seconds']:.1f} | {used:.0%}"
            print(f"| {images} | {seed} | {seconds} | {' | '.join(chosen(auto))} |")


def chosen(auto: dict[str, Any]) -> tuple[str, str]:
    """What was trained above the probe, and the kind of phase whose weights were kept."""
    trained = [f"{phase['unfreeze']}, {phase['epochs']} epochs" for phase in auto["phases"] if phase["epochs"]]
    best = next(line for line in auto["lines"] if line["epoch"] == auto["best_epoch"])
    kept = auto["phases"][best["phase"] - 1]["kind"]
    return trained[0] if trained else "nothing", {"train": f"epoch {best['epoch']}"}.get(kept, kept)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("kernels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, nargs="*", default=list(EPOCHS), help="training images a class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES))
    given = parser.parse_args()
    found: dict[str, Any] = json.loads(given.out.read_text()) if given.out.exists() else {}
    for seed, images, strategy in itertools.product(range(given.seeds), given.images, given.strategies):
        key = f"{images}/{seed}/{strategy}"
        if key not in found:
            found[key] = run(given.data.absolute(), given.kernels.absolute(), images, seed, strategy)
            given.out.write_text(json.dumps(found, indent=1) + "\n")
            print(key, found[key]["accuracy"], round(found[key]["seconds"], 1), flush=True)
    print_tables(found, given.images)


if __name__ == "__main__":
    main()
