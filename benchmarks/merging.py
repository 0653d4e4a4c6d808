"""Accuracy of an average and of a soup beside that of their members, on heads on a frozen VGG16 with its real weights.

    python benchmarks/merging.py FASHION vgg16.weights.h5 --seeds 5

FASHION is an image folder of Fashion-MNIST with train/CLASS and test/CLASS. For each seed, 20 images a class train five
heads that differ in learning rate and label smoothing, and 8 a class validate. Prints a Markdown table: accuracy on the
test images of the member that is best on the validation images, of the mean member, of the average and of the soup.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from transfercli.reporting import Reporter
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.merge.merge import MergeRequest, merge_runs
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.train import TrainRequest, train

TRAIN, VALIDATION = 20, 8  # images a class
MEMBERS: dict[str, dict[str, Any]] = {
    "slow": {"optimizer": {"learning_rate": 3e-4}},
    "usual": {"optimizer": {"learning_rate": 1e-3}},
    "fast": {"optimizer": {"learning_rate": 5e-3}},
    "faster": {"optimizer": {"learning_rate": 2e-2}},
    "smooth": {"optimizer": {"learning_rate": 5e-3}, "regularization": {"label_smoothing": 0.2}},
}


def sample(source: Path, target: Path, seed: int, test: int) -> None:
    """Copy images of each class: those that train and validate follow from the seed, the test images do not."""
    rng = np.random.default_rng(seed)
    for folder in sorted((source / "train").iterdir()):
        files = sorted(folder.iterdir())
        chosen = [files[row] for row in rng.permutation(len(files))[: TRAIN + VALIDATION]]
        parts = {"train": chosen[:TRAIN], "validation": chosen[TRAIN:]}
        parts["test"] = sorted((source / "test" / folder.name).iterdir())[:test]
        for part, images in parts.items():
            (target / part / folder.name).mkdir(parents=True)
            for image in images:
                shutil.copy(image, target / part / folder.name)


def train_members(folder: Path, weights: Path, seed: int) -> list[str]:
    """Train the members of a seed, and return their names."""
    for name, training in MEMBERS.items():
        config = {
            "name": f"seed{seed}",
            "seed": seed,
            "data": {part: str(folder / part) for part in ("train", "validation", "test")} | {"image_size": 64},
            "model": {"base": "vgg16", "weights": {"path": str(weights)}, "head": {"hidden": [64], "dropout": 0.2}},
            "transfer": {"strategy": "feature_extraction"},
            "training": {"epochs": 20, **training},
            "compute": {"precision": "float32"},
            "tracking": {"tensorboard": False},
        }
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        train(TrainRequest("finetune", path, folder / "runs", run_id=name), Reporter())
    return [f"seed{seed}/{name}" for name in MEMBERS]


def accuracy(runs: Path, name: str) -> float:
    """Return the accuracy of a run on its test images; their features come from the cache."""
    run = StoredRun.find(name, runs, Reporter())
    split, features = run.split("test"), ImageFeatures(run)
    return float((features.probabilities(features.pooled(split)).argmax(axis=1) == split.targets).mean())


def measure(source: Path, weights: Path, seed: int, test: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sample(source, folder, seed, test)
        names, runs = train_members(folder, weights, seed), folder / "runs"
        each = [accuracy(runs, name) for name in names]
        results = {}
        for how in ("average", "soup"):
            merged = merge_runs(MergeRequest(tuple(names), how, runs, how), Reporter())  # type: ignore[arg-type]
            best = names.index(merged.members[0]["run"])
            results |= {"best member": each[best], "mean member": float(np.mean(each))} if how == "average" else {}
            results[how] = accuracy(runs, how)
            print(f"seed {seed}, {how}: {results}; {merged.gains['best_member']['val_accuracy']}", flush=True)
        return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fashion", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--test", type=int, default=200, help="test images a class")
    options = parser.parse_args()
    rows = [measure(options.fashion, options.weights, seed, options.test) for seed in range(options.seeds)]
    print("\n| model | test accuracy | difference from the best member, each seed |\n| --- | --- | --- |")
    for name in ("best member", "mean member", "average", "soup"):
        differences = ", ".join(f"{100 * (row[name] - row['best member']):+.1f}" for row in rows)
        print(f"| {name} | {np.mean([row[name] for row in rows]):.4f} | {differences} |")


if __name__ == "__main__":
    main()
