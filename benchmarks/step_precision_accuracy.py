"""Test accuracy after fine-tuning in float32 and in bfloat16, from the same weights, over several seeds.

Usage: python -m benchmarks.step_precision_accuracy DATA WEIGHTS [--base vgg16] [--side 64] [--epochs 2] [--seeds 3]

DATA has folders `train` and `test` with a folder per class; WEIGHTS is a weight file of the base, or `random`. All
layers train. Prints a Markdown table with a row per seed, and the mean and the spread of the differences.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import workbench
from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

PRECISIONS = ("float32", "bfloat16")


def accuracy(work: Path, options: argparse.Namespace, seed: int, precision: str) -> float:
    """Return the test accuracy of one fine-tuning, computed in float32."""
    data = {"train": str(options.data / "train"), "test": str(options.data / "test"), "image_size": options.side}
    weights = {} if options.weights == "random" else {"weights": {"path": str(Path(options.weights).resolve())}}
    name = f"{precision}-{seed}"
    config: dict[str, Any] = {
        "data": data | {"batch_size": 32},
        "model": {"base": options.base, **weights},
        "transfer": {"strategy": "full" if weights else "scratch"},
        "training": {"epochs": options.epochs},
        "compute": {"precision": precision, "cache_dir": str(work / "cache")},
        "seed": seed,
    }
    workbench.finetune(work, name, config)
    return float(evaluate_run(EvaluateRequest(name, work / "runs"), Reporter()).as_json()["metrics"]["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights")
    parser.add_argument("--base", default="vgg16")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    options.data = options.data.resolve()
    print("| seed | float32 | bfloat16 | difference |\n| --- | --- | --- | --- |")
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            found = [accuracy(Path(folder), options, seed, precision) for precision in PRECISIONS]
            differences.append(found[1] - found[0])
            print(f"| {seed} | {found[0]:.3f} | {found[1]:.3f} | {differences[-1]:+.3f} |", flush=True)
    spread = statistics.stdev(differences) if len(differences) > 1 else 0.0
    print(f"\nmean difference {statistics.mean(differences):+.3f}, standard deviation {spread:.3f}")


if __name__ == "__main__":
    main()
