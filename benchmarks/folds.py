"""Cost of a cross-validation: `finetune --folds K` on a frozen base, beside one run of the same config.

Usage: python -m benchmarks.folds IMAGES WEIGHTS OUT.json [--base vgg16] [--side 150] [--folds 5] [--repeats 3]

IMAGES is an image folder, WEIGHTS a weight file of the base. Each measurement starts with empty caches, in one process
in which Keras is imported already. Prints a Markdown table and writes the numbers to OUT.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.workbench import median, prepare_backend
from transfercli.reporting import Reporter
from transfercli.workflows.series.series import train_run_or_series
from transfercli.workflows.train.job import TrainRequest

STRATEGIES = ("linear_probe", "feature_extraction")  # solved; 20 epochs of gradients


def measure(args: argparse.Namespace, strategy: str, folds: int | None) -> dict[str, Any]:
    """Return the seconds of a command, and the features that its first and its other runs computed."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        config = {
            "name": "folds",
            "data": {"train": str(args.images.absolute()), "image_size": args.side},
            "model": {"base": args.base, "weights": {"path": str(args.weights.absolute())}},
            "transfer": {"strategy": strategy},
            "compute": {"cache_dir": str(work / "cache"), "cache": "require"},
        }
        file = work / "folds.yaml"
        file.write_text(yaml.safe_dump(config))
        started = time.perf_counter()
        result = train_run_or_series(TrainRequest("finetune", file, work / "runs"), folds, Reporter()).as_json()
        seconds = time.perf_counter() - started
    first, *others = [run["cache"]["features"]["misses"] for run in result.get("runs", [result])]
    return {"seconds": seconds, "first": first, "others": sum(others)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", default="vgg16")
    parser.add_argument("--side", type=int, default=150)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    prepare_backend()
    measure(args, STRATEGIES[0], None)  # compilation and files are warm
    print(f"| strategy | one run, s | {args.folds} folds, s | ratio | features computed: first fold, all others |")
    print("| --- | --- | --- | --- | --- |")
    results = {}
    for strategy in STRATEGIES:
        one, all_folds = (
            median([measure(args, strategy, folds) for _ in range(args.repeats)]) for folds in (None, args.folds)
        )
        ratio = all_folds["seconds"] / one["seconds"]
        results[strategy] = {"one": one, "folds": all_folds, "ratio": ratio}
        cells = (strategy, f"{one['seconds']:.1f}", f"{all_folds['seconds']:.1f}", f"{ratio:.2f}")
        print(f"| {' | '.join(cells)} | {all_folds['first']}, {all_folds['others']} |", flush=True)
    args.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
