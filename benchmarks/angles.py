"""One number from an image: the angle of rotated digits, by a probe and by fine-tuning, beside the mean of all.

    python -m benchmarks.angles

1,000 of scikit-learn's digits are enlarged to 32 pixels and rotated by an angle that is uniform from -60 to 60 degrees.
The base is `small_cnn`, trained on digits that are not rotated. Prints a Markdown table of the mean absolute error on
the test images, in degrees.
"""

from __future__ import annotations

import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import evaluate_run
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.train.job import TrainRequest
from transfercli.workflows.train.train import train

IMAGES, MOST_DEGREES, SIDE, SEED = 1000, 60, 32, 0
STRATEGIES = ("linear_probe", "multilayer_probe", "full")


def write_images(folder: Path) -> None:
    """Write the rotated digits with `angles.csv`, and the others as they are in `upright.csv`."""
    digits, rng = load_digits(), np.random.default_rng(SEED)
    order = rng.permutation(len(digits.images))
    for name, rows in (("angles", order[:IMAGES]), ("upright", order[IMAGES:])):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "angle" if name == "angles" else "label"])
            for row in rows:
                image = Image.fromarray((digits.images[row] * 255 / 16).astype(np.uint8))
                image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
                answer: Any = f"d{digits.target[row]}"
                if name == "angles":
                    answer = round(float(rng.uniform(-MOST_DEGREES, MOST_DEGREES)), 2)
                    image = image.rotate(answer, Image.Resampling.BICUBIC)
                image.save(folder / f"{row}.png")
                writer.writerow([f"{row}.png", answer])


def trained(folder: Path, command: Any, name: str, **sections: Any) -> Path:
    """Train a run, and return its folder."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, **sections}))
    result = train(TrainRequest(command, path, folder / "runs"), Reporter()).as_json()
    return Path(result["run"])


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder)
        data = {"train": str(folder / "upright.csv"), "image_size": SIDE}
        trained(folder, "pretrain", "upright", data=data, model={"base": "small_cnn"}, training={"epochs": 10})
        data = {"train": str(folder / "angles.csv"), "image_size": SIDE, "columns": {"label": "angle"}}
        print("| strategy | MAE, degrees | 95% interval | R2 | seconds |\n| --- | ---: | ---: | ---: | ---: |")
        rows = []
        for strategy in STRATEGIES:
            started = time.perf_counter()
            run = trained(
                folder,
                "finetune",
                strategy.replace("_", "-"),
                task="regression",
                data=data,
                model={"base": "small_cnn", "weights": {"run": "upright"}},
                transfer={"strategy": strategy},
                training={"epochs": 20},
            )
            seconds = time.perf_counter() - started
            evaluation = evaluate_run(EvaluateRequest(str(run), folder / "runs"), Reporter()).evaluation
            low, high = evaluation.intervals["mae"]
            r2, mae = evaluation.metrics["r2"], evaluation.metrics["mae"]
            rows.append(f"| {strategy} | {mae:.2f} | {low:.2f} to {high:.2f} | {r2:.3f} | {seconds:.0f} |")
        table = list(csv.DictReader((run / "dataset.csv").read_text().splitlines()))
        of = {split: np.array([float(r["label"]) for r in table if r["split"] == split]) for split in ("train", "test")}
        print(f"| mean of the training images | {np.abs(of['test'] - of['train'].mean()).mean():.2f} | | | |")
        print("\n".join(rows))
        print(f"\n{len(of['train'])} training and {len(of['test'])} test images")


if __name__ == "__main__":
    main()
