"""Grades of image quality: `task: ordinal` beside `task: classify`, with few images.

Usage: python benchmarks/ordinal.py WEIGHTS.h5 [--images 200] [--seeds 3]

The images are scikit-learn's digits, upscaled to 32 pixels, blurred by one of five radii: the grade. WEIGHTS.h5 are
those of VGG16 without its top layers; the strategy is `linear_probe`, which reads the base's output. Prints a Markdown
table of accuracy, mean absolute error in steps and quadratic kappa on 700 other digits, means over the seeds.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits
from workbench import finetune, prepare_backend

from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

RADII = (0.0, 0.7, 1.2, 1.8, 2.6)  # of the Gaussian blur, in pixels
TEST, SIDE = 700, 32
METRICS = ("accuracy", "mae", "quadratic_kappa")


def write_grades(folder: Path, images: int, seed: int) -> Path:
    """Write `images` training and `TEST` test digits with their grades, drawn with the seed; return their table."""
    folder.mkdir(parents=True)
    rng, digits = np.random.default_rng(seed), load_digits().images
    order = rng.permutation(len(digits))[: images + TEST]
    table = folder / "grades.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for number, row in enumerate(order):
            grade = int(rng.integers(len(RADII)))
            picture = Image.fromarray((digits[row] * 15).astype(np.uint8)).resize((SIDE, SIDE))
            picture.filter(ImageFilter.GaussianBlur(RADII[grade])).save(folder / f"{number:04}.png")
            writer.writerow([f"{number:04}.png", grade, "train" if number < images else "test"])
    return table


def measure(work: Path, weights: Path, images: int, task: str, seed: int) -> list[float]:
    """Return the metrics of a run on the test images."""
    table = work / f"images{seed}" / "grades.csv"
    if not table.exists():
        write_grades(table.parent, images, seed)
    config = {
        "seed": seed,
        "task": task,
        "data": {"train": str(table), "image_size": SIDE},
        "model": {"base": "vgg16", "weights": {"path": str(weights.absolute())}},
        "transfer": {"strategy": "linear_probe"},
    }
    result = finetune(work, f"{task}-{seed}", config)
    evaluation = evaluate_run(EvaluateRequest(result["run"], work / "runs"), Reporter()).evaluation
    return [float(evaluation.metrics[name] or 0) for name in METRICS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    prepare_backend()
    print(f"| task | {' | '.join(METRICS)} |", f"|---|{'---|' * len(METRICS)}", sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        for task in ("classify", "ordinal"):
            found = [measure(Path(folder), args.weights, args.images, task, seed) for seed in range(args.seeds)]
            means = [f"{statistics.mean(values):.3f}" for values in zip(*found, strict=True)]
            print(f"| {task} | {' | '.join(means)} |", flush=True)


if __name__ == "__main__":
    main()
