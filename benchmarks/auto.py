"""Strategy `auto` against each single strategy, with real VGG16 kernels: test accuracy, seconds, and what it chose.

Usage: python benchmarks/auto.py DATA VGG16.weights.h5 OUT.json [--images 5 20 100] [--seeds 3] [--epochs 10]
                                 [--strategies auto linear_probe multilayer_probe partial full] [--tests 100]

DATA holds `train/CLASS` and `test/CLASS`, such as Fashion-MNIST as JPEGs. Of each class, `--images` are drawn for each
seed; a fifth of them validates. Runs the program's own workflows in one process, at 64 px. Results are added to
OUT.json after each run, and those that are in it already are not computed again. Prints a Markdown table.
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

import numpy as np
import yaml

from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.record import read_record
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.train.train import TrainRequest, train

STRATEGIES = ("linear_probe", "multilayer_probe", "partial", "full", "auto")


def draw(source: Path, target: Path, images: int, seed: int) -> Path:
    """Copy so many images of each class, drawn by the seed, and return the folder."""
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        files = sorted(folder.iterdir())
        chosen = np.random.default_rng([seed, images]).choice(len(files), min(images, len(files)), replace=False)
        (target / folder.name).mkdir(parents=True, exist_ok=True)
        for index in chosen:
            shutil.copyfile(files[index], target / folder.name / files[index].name)
    return target


def run(work: Path, data: Path, test: Path, weights: Path, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train once and evaluate; return test accuracy, seconds and facts of the run."""
    config = {
        "name": "auto",
        "seed": seed,
        "data": {"train": str(data), "test": str(test), "validation": 0.2, "image_size": 64, "batch_size": 16},
        "model": {"base": "vgg16", "weights": {"path": str(weights.absolute())}},
        **settings,
    }
    path = work / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    shutil.rmtree(work / "runs", ignore_errors=True)
    started = time.perf_counter()
    result = train(TrainRequest("finetune", path, work / "runs", run_id="0"), Reporter()).as_json()
    seconds = time.perf_counter() - started
    record = read_record(RunFolder(Path(result["run"])))
    evaluation = evaluate_run(EvaluateRequest(result["run"], work / "runs"), Reporter()).evaluation
    return {
        "accuracy": evaluation.metrics["accuracy"],
        "log_loss": evaluation.metrics["log_loss"],
        "seconds": round(seconds, 1),
        "stages": result["seconds"],
        "validation": result["metrics"],
        "best_epoch": result["best_epoch"],
        "phases": record["phases"],
        "choice": record.get("choice"),
    }


def table(results: dict[str, Any], images: list[int], strategies: list[str]) -> str:
    """Return accuracies, mean over the seeds and each, as a Markdown table."""
    lines = [
        f"| strategy | {' | '.join(f'{n} a class | by seed | s' for n in images)} |",
        "| --- " * (1 + 3 * len(images)) + "|",
    ]
    for strategy in strategies:
        cells = []
        for n in images:
            found = [v for k, v in results.items() if k.startswith(f"{strategy}, {n} a class,")]
            if not found:
                cells += ["", "", ""]
                continue
            each = [value["accuracy"] for value in found]
            seconds = statistics.median(value["seconds"] for value in found)
            cells += [f"{statistics.mean(each):.3f}", ", ".join(f"{value:.3f}" for value in each), f"{seconds:.0f}"]
        lines.append(f"| {strategy} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, nargs="*", default=[5, 20, 100], help="labels of each class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--tests", type=int, default=100, help="test images of each class")
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES))
    parser.add_argument("--set", type=json.loads, default={}, help="more sections of the config, as JSON")
    args = parser.parse_args()
    results: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        test = draw(args.data / "test", work / "test", args.tests, 0)
        for images in args.images:
            for seed in range(args.seeds):
                data = draw(args.data / "train", work / f"{images}-{seed}", images, seed)
                for strategy in args.strategies:
                    key = f"{strategy}, {images} a class, seed {seed}"
                    if key in results:
                        continue
                    settings = {"transfer": {"strategy": strategy}, "training": {"epochs": args.epochs}} | args.set
                    results[key] = run(work, data, test, args.weights, settings, seed)
                    args.out.write_text(json.dumps(results, indent=2) + "\n")
                    short = {name: results[key][name] for name in ("accuracy", "log_loss", "seconds", "best_epoch")}
                    print(key, short, flush=True)
    print(table(results, args.images, args.strategies))


if __name__ == "__main__":
    main()
