"""Winner of a sweep beside the default config and random search, and its scores beside the test score.

Usage: python -m benchmarks.sweep_fashion DATA OUT.json --weights vgg16.weights.h5 [--seeds 5] [--trials 32]
           [--space heads|strategies] [--train 20] [--validation 0.2] [--test 500] [--metric val_accuracy]

DATA is a folder of Fashion-MNIST images, from
`python shared/tools/fashion_mnist_folder.py DATA --train-per-class 200 --test-per-class 500`. Each seed draws `--train`
training images a class, of which `--validation` choose the trial (and its best epoch); `--test` images a class are the
same for all seeds. A short form, of a few minutes: `--seeds 1 --trials 4 --test 20`.
Prints a Markdown table, and writes each result to OUT.json as soon as it is there; those that are in the file are
skipped. Every command is a process of its own, as a user would start it; features are cached over all of them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

SIZE = 64
EPOCHS = 20
HEADS = {
    "training.optimizer.learning_rate": {"log": [1e-4, 1e-2]},
    "model.head.taps": {"choice": [[], "stages"]},
    "model.head.hidden": {"choice": [[], [64], [256]]},
    "model.head.dropout": {"range": [0.0, 0.5]},
    "training.regularization.label_smoothing": {"choice": [0.0, 0.1]},
}
SPACES = {
    "heads": HEADS,
    "strategies": {
        "transfer.strategy": {"choice": ["feature_extraction", "linear_probe", "multilayer_probe"]},
        "training.optimizer.learning_rate": HEADS["training.optimizer.learning_rate"],
        "training.regularization.label_smoothing": HEADS["training.regularization.label_smoothing"],
    },
}
SAMPLERS = ("tpe", "random")


def draw_images(source: Path, target: Path, number: int, seed: int) -> Path:
    """Copy `number` images of each class, and return the folder."""
    rng = np.random.default_rng(seed)
    for folder in sorted(source.iterdir()):
        files = sorted(folder.iterdir())
        (target / folder.name).mkdir(parents=True, exist_ok=True)
        for index in rng.permutation(len(files))[:number]:
            shutil.copy(files[index], target / folder.name)
    return target


def run_program(work: Path, *arguments: str) -> dict[str, Any]:
    """Run a command of the program in the folder `work`, and return its JSON result and its seconds."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "transfercli", *arguments, "--json"]
    process = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if process.returncode:
        raise SystemExit(
            f"{' '.join(arguments)}: exit {process.returncode}\n{process.stdout}\n{process.stderr[-3000:]}"
        )
    return {**json.loads(process.stdout), "wall": round(time.perf_counter() - started, 1)}


def config_of(work: Path, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the config of a seed, whose images are drawn."""
    train = draw_images(options.data / "train", work / "images" / str(seed), options.train, seed)
    return {
        "seed": seed,
        "data": {
            "train": str(train),
            "validation": options.validation,
            "test": str(work / "images" / "test"),
            "image_size": SIZE,
            "batch_size": 16,
        },
        "model": {"base": "vgg16", "weights": {"path": str(options.weights.resolve())}},
        "transfer": {"strategy": "feature_extraction"},
        "training": {"epochs": EPOCHS},
        "compute": {"cache_dir": str(work / "cache")},
    }


def measure_default(work: Path, config: dict[str, Any], name: str) -> dict[str, float]:
    """Train the config as it is, and return its test score and seconds."""
    path = work / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, **config}))
    trained = run_program(work, "finetune", str(path))
    evaluated = run_program(work, "evaluate", name)
    return {"test": evaluated["metrics"]["accuracy"], "wall": trained["wall"] + evaluated["wall"]}


def measure_sweep(work: Path, config: dict[str, Any], name: str, sweep: dict[str, Any]) -> dict[str, Any]:
    """Run a sweep, and return the scores of its winner."""
    path = work / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, **config, "sweep": sweep}))
    result = run_program(work, "sweep", str(path))
    winner = result["winner"]
    return {
        "test": winner["test"]["metrics"]["accuracy"],
        "test_value": winner["test"]["value"],
        **{key: winner[key] for key in ("naive", "corrected", "interval", "images", "values")},
        "indistinguishable": len(winner["indistinguishable"]),
        "counts": result["counts"],
        "wall": result["wall"],
    }


def print_table(results: dict[str, Any], seeds: int) -> None:
    """Print mean accuracies, and mean signed errors of the winner's scores, in points."""
    print("| search | test accuracy | by seed | naive - test | corrected - test | s, median |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for search in ("default", *SAMPLERS):
        rows = [results[f"{search}-{seed}"] for seed in range(seeds) if f"{search}-{seed}" in results]
        if not rows:
            continue
        tests = [row["test"] for row in rows]
        errors = ["", ""]
        if search != "default":
            errors = [
                _mean_error([100 * (row[key] - row["test_value"]) for row in rows]) for key in ("naive", "corrected")
            ]
        each = ", ".join(f"{value:.3f}" for value in tests)
        seconds = statistics.median(row["wall"] for row in rows)
        print(f"| {search} | {statistics.mean(tests):.3f} | {each} | {errors[0]} | {errors[1]} | {seconds:.0f} |")


def _mean_error(errors: list[float]) -> str:
    """Return the mean with its standard error, for Markdown."""
    error = f" ± {statistics.stdev(errors) / len(errors) ** 0.5:.1f}" if len(errors) > 1 else ""
    return f"{statistics.mean(errors):+.1f}{error}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--space", choices=SPACES, default="heads")
    parser.add_argument("--train", type=int, default=20)
    parser.add_argument("--validation", type=float, default=0.2)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--metric", default="val_accuracy")
    options = parser.parse_args()
    work = options.out.resolve().with_suffix(".work")
    if not (work / "images" / "test").exists():
        draw_images(options.data / "test", work / "images" / "test", options.test, 0)
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    sweep = {"trials": options.trials, "metric": options.metric, "space": SPACES[options.space]}
    for seed in range(options.seeds):
        config = config_of(work, seed, options)
        for search in ("default", *SAMPLERS):
            key = f"{search}-{seed}"
            if key in results:
                continue
            if search == "default":
                results[key] = measure_default(work, config, key)
            else:
                results[key] = measure_sweep(work, config, key, {**sweep, "sampler": search})
            options.out.write_text(json.dumps(results, indent=1))
            print(key, json.dumps(results[key]), flush=True)
    print_table(results, options.seeds)


if __name__ == "__main__":
    main()
