"""Accuracy of `multilayer_probe` beside `linear_probe` on few labelled images, and its time.

Usage: python -m benchmarks.multilayer DATA OUT.json --weights FILE [--base vgg16] [--size 64] [--images 5 20 100]
                                       [--seeds 5] [--test 100] [--timed] [--work DIR] [--methods NAME ...]

DATA holds `{train,test}/CLASS`. Each seed draws its training images from the pool; classes with fewer give all. The
first `--test` test images of each class are the validation images of a run, so that their features are cached; a probe
chooses nothing on them. `--timed` trains each method once more without a cache, on the images of the first seed, and
prints the processor time of the whole training relative to the first method's. Results are kept in OUT.json; what is
there already is skipped. `--work` keeps features and runs in a folder.
Runs the program's own workflow in one process and prints a Markdown table.
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
    "linear_probe, features as they are": {"strategy": "linear_probe", "head": {"normalisation": "none"}},
    "linear_probe": {"strategy": "linear_probe", "head": {}},
    "multilayer_probe": {"strategy": "multilayer_probe", "head": {}},
}


def link_images(source: Path, target: Path, count: int, rng: np.random.Generator | None = None) -> Path:
    """Link at most `count` images of each class, drawn at random or the first ones, and return the new folder."""
    if target.exists():
        return target
    for folder in sorted(source.iterdir()):
        files = sorted(folder.iterdir())
        order = np.arange(len(files)) if rng is None else rng.permutation(len(files))
        (target / folder.name).mkdir(parents=True)
        for row in order[:count]:
            (target / folder.name / files[row].name).hardlink_to(files[row])
    return target


def settings(args: argparse.Namespace, method: str, train: Path, validation: Path, seed: int) -> dict[str, Any]:
    """Return a config without a name."""
    chosen = METHODS[method]
    return {
        "seed": seed,
        "data": {"train": str(train), "validation": str(validation), "test": None, "image_size": args.size},
        "model": {"base": args.base, "weights": {"path": str(args.weights.absolute())}, "head": chosen["head"]},
        "transfer": {"strategy": chosen["strategy"]},
    }


def measure(args: argparse.Namespace, work: Path, results: dict[str, Any]) -> None:
    """Add the accuracy of every method, number of images and seed, and with `--timed` the seconds, to the results."""
    test = link_images(args.data / "test", work / "test", args.test)
    for seed in range(args.seeds):
        for images in args.images:
            train = link_images(args.data / "train", work / f"{images}-{seed}", images, np.random.default_rng(seed))
            for method in args.methods:
                key = f"{args.base} {args.size}, {images}, {method}, {seed}"
                name = f"run-{len(results)}-{images}-{seed}"
                config = settings(args, method, train, test, seed)
                if key not in results:
                    cached = config | {"compute": {"cache_dir": str(work / "cache")}}
                    results[key] = finetune(work, name, cached)["metrics"]["val_accuracy"]
                if args.timed and seed == 0 and f"{key}, seconds" not in results:
                    config["data"]["validation"] = str(link_images(args.data / "test", work / "few", 1))
                    started = time.process_time()
                    finetune(work, f"{name}-timed", config | {"compute": {"cache": "off"}})
                    results[f"{key}, seconds"] = time.process_time() - started
                args.out.write_text(json.dumps(results, indent=1) + "\n")
                print(key, results[key], results.get(f"{key}, seconds", ""), flush=True)


def table(args: argparse.Namespace, results: dict[str, Any]) -> str:
    """Return the accuracies, their gains over the first method, and the relative times, as Markdown."""
    lines = ["| images a class | head | accuracy | gain in points | better in | time |", "|---|---|---|---|---|---|"]
    first, *_ = args.methods
    for images in args.images:
        for method in args.methods:
            mine, base = (
                [results[f"{args.base} {args.size}, {images}, {name}, {seed}"] for seed in range(args.seeds)]
                for name in (method, first)
            )
            gains = [100 * (a - b) for a, b in zip(mine, base, strict=True)]
            seconds = [
                results.get(f"{args.base} {args.size}, {images}, {name}, 0, seconds") for name in (method, first)
            ]
            ratio = f"{seconds[0] / seconds[1]:.2f}" if all(seconds) else ""
            gain = "" if method == first else f"{statistics.mean(gains):+.1f}"
            wins = "" if method == first else f"{sum(each > 0 for each in gains)} of {len(gains)}"
            lines.append(f"| {images} | {method} | {statistics.mean(mine):.3f} | {gain} | {wins} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--base", default="vgg16")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images", type=int, nargs="*", default=[5, 20, 100], help="training images a class")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--test", type=int, default=100, help="test images a class")
    parser.add_argument("--timed", action="store_true")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    args = parser.parse_args()
    results: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    with tempfile.TemporaryDirectory(dir=args.out.parent) as folder:
        measure(args, (args.work or Path(folder)).absolute(), results)
    print(table(args, results))


if __name__ == "__main__":
    main()
