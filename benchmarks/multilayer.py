"""Processor time of whole trainings of `multilayer_probe` beside `linear_probe` with its features as they are.

Usage: python -m benchmarks.multilayer DATA OUT.json --weights FILE [--base vgg16] [--size 64] [--images 5 20 100]
                                       [--pairs 3]

DATA holds `CLASS/*`, from which each pair draws so many images a class; a fifth validates. Every training begins with
an empty cache, in one process that has loaded Keras and trained once before; the order alternates. `linear_probe` has
`normalisation: none` and `refit: false`, so that it solves for one head, once. Results are kept in OUT.json after each
training, and what is there is skipped. Prints a Markdown table. Test accuracies: `benchmarks/heads.py`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workbench import finetune

METHODS: dict[str, dict[str, Any]] = {
    "linear_probe": {
        "transfer": {"strategy": "linear_probe"},
        "training": {"refit": False},
        "head": {"normalisation": "none"},
    },
    "multilayer_probe": {"transfer": {"strategy": "multilayer_probe"}, "training": {}, "head": {}},
}
PROBE, MULTILAYER = METHODS


def link_images(source: Path, target: Path, count: int, seed: int) -> Path:
    """Link at most `count` images of each class, drawn at random, and return the new folder."""
    rng = np.random.default_rng(seed)
    for folder in sorted(source.iterdir()):
        files = sorted(folder.iterdir())
        (target / folder.name).mkdir(parents=True)
        for row in rng.permutation(len(files))[:count]:
            (target / folder.name / files[row].name).symlink_to(files[row].resolve())
    return target


def seconds_of(args: argparse.Namespace, method: str, images: int, seed: int) -> float:
    """Train once and return the processor seconds."""
    chosen = METHODS[method]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data = link_images(args.data, work / "data", images, seed)
        config = {
            "seed": seed,
            "data": {"train": str(data), "validation": 0.2, "test": None, "image_size": args.size, "batch_size": 16},
            "model": {"base": args.base, "weights": {"path": str(args.weights.absolute())}, "head": chosen["head"]},
            "transfer": chosen["transfer"],
            "training": chosen["training"],
            "compute": {"cache_dir": str(work / "cache")},
        }
        started = time.process_time()
        finetune(work, "timed", config)
        return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--base", default="vgg16")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images", type=int, nargs="*", default=[5, 20, 100], help="labels of each class")
    parser.add_argument("--pairs", type=int, default=3)
    args = parser.parse_args()
    results: dict[str, float] = json.loads(args.out.read_text()) if args.out.exists() else {}
    seconds_of(args, PROBE, 2, 0)
    for images in args.images:
        for pair in range(args.pairs):
            for method in list(METHODS)[:: 1 if pair % 2 == 0 else -1]:
                key = f"{images}, {method}, {pair}"
                if key not in results:
                    results[key] = round(seconds_of(args, method, images, pair), 2)
                    args.out.write_text(json.dumps(results, indent=1) + "\n")
                    print(key, results[key], flush=True)
    print("| labels a class | linear_probe, s | multilayer_probe, s | ratio, median | each |")
    print("| ---: | ---: | ---: | ---: | --- |")
    for images in args.images:
        probe, several = (
            [results[f"{images}, {method}, {pair}"] for pair in range(args.pairs)] for method in (PROBE, MULTILAYER)
        )
        ratios = [b / a for a, b in zip(probe, several, strict=True)]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        means = f"{statistics.mean(probe):.1f} | {statistics.mean(several):.1f}"
        print(f"| {images} | {means} | {statistics.median(ratios):.2f} | {each} |")


if __name__ == "__main__":
    main()
