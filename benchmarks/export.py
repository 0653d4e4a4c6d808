"""Parity, size and latency of exported artefacts, for every format and precision.

Usage: python -m benchmarks.export OUT.json [--bases small_cnn resnet18 vgg16 resnet50] [--images 1300]

Generates JPEGs of real handwritten digits (scikit-learn's) on crops of real photographs, 90 to 400 pixels a side, and
trains each base on them from random weights. Then exports every format in every precision, as `transfercli export`
does, checks parity on 500 validation images, and prints values of export.json, which are also written to OUT.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from benchmarks.workbench import prepare_backend
from transfercli.export.exporter import ExportRejected
from transfercli.export.formats.registry import FORMATS
from transfercli.reporting import Reporter
from transfercli.workflows.export.export import ExportRunRequest, export_run
from transfercli.workflows.train.job import TrainRequest
from transfercli.workflows.train.train import train

# Side in pixels, epochs from scratch, learning rate.
TRAININGS = {
    "small_cnn": (32, 30, 1e-3),
    "resnet18": (64, 12, 1e-3),
    "vgg16": (32, 12, 1e-4),
    "resnet50": (64, 10, 1e-3),
}
SMALLEST_SIDE, LARGEST_SIDE = 90, 400  # pixels
PRINTED_KEYS = (
    *("base", "format", "quantize", "bytes", "max_abs_diff", "max_abs_diff_bytes", "label_agreement"),
    *("label_agreement_bytes", "accuracy_original", "accuracy_exported", "latency_ms", "load_seconds", "rejected"),
)


def write_digits_on_photos(folder: Path, count: int) -> Path:
    """Write `count` JPEGs, one sub-folder per digit, and return the folder."""
    from sklearn.datasets import load_digits, load_sample_images

    digits, photos = load_digits(), load_sample_images().images
    rng = np.random.default_rng(0)
    for number in range(count):
        height, width = rng.integers(SMALLEST_SIDE, LARGEST_SIDE, 2)
        photo = photos[number % len(photos)]
        top, left = rng.integers(0, photo.shape[0] - height), rng.integers(0, photo.shape[1] - width)
        background = photo[top : top + height, left : left + width].astype(np.float32)
        digit = Image.fromarray((digits.images[number % len(digits.images)] * 15.9).astype(np.uint8))
        opacity = np.asarray(digit.resize((width, height), Image.Resampling.BICUBIC), np.float32)[..., None] / 255
        colour = rng.integers(150, 256, 3)
        path = folder / str(digits.target[number % len(digits.target)]) / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        mixed = 0.5 * background * (1 - opacity) + colour * opacity
        Image.fromarray(mixed.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return folder


def train_base(work: Path, photos: Path, base: str) -> str:
    """Train `base` from random weights and return the run folder."""
    side, epochs, learning_rate = TRAININGS[base]
    config = {
        "name": base,
        "data": {"train": str(photos), "validation": 0.4, "test": None, "image_size": side},
        "model": {"base": base, "weights": "none"},
        "training": {"epochs": epochs, "optimizer": {"learning_rate": learning_rate}, "early_stopping": None},
        "compute": {"cache_dir": str(work / "cache"), "precision": "float32"},
    }
    file = work / f"{base}.yaml"
    file.write_text(yaml.safe_dump(config))
    return train(TrainRequest("pretrain", file, work / "runs"), Reporter()).as_json()["run"]


def export_all(run: str, work: Path, base: str) -> list[dict[str, Any]]:
    """Export every format in every precision and return their results; `rejected` is the reason if accuracy dropped."""
    results = []
    for name, export_format in FORMATS.items():
        for quantize in export_format.quantize:
            call = ExportRunRequest(run, work / "runs", (name,), quantize, work / "out" / base / quantize)
            try:
                (result,) = export_run(call, Reporter()).artefacts
            except ExportRejected as error:
                result = error.artefacts[0] | {"rejected": error.message}
            results.append({"base": base, "quantize": quantize, **result})
            print(json.dumps({key: results[-1].get(key) for key in PRINTED_KEYS}), flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bases", nargs="+", default=list(TRAININGS), choices=list(TRAININGS))
    parser.add_argument("--images", type=int, default=1300)
    args = parser.parse_args()
    prepare_backend()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        photos = write_digits_on_photos(work / "photos", args.images)
        for base in args.bases:
            results += export_all(train_base(work, photos, base), work, base)
            args.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
