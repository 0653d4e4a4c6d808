"""How equal is each exported artefact to its run, how large, and how fast?

usage: export.py OUT.json [--bases small_cnn resnet18 vgg16 resnet50] [--images 1300]

Makes JPEGs of real handwritten digits (scikit-learn's) on pieces of real photographs, 90 to 400 pixels a side, and
trains each base on them from random weights. Then exports every format in every precision, as `transfercli export`
does, with 500 validation images as proof, and prints what stands in export.json.
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

from benchmarks.workbench import quiet_backend
from transfercli.export.exporter import ExportRejected
from transfercli.export.formats.registry import FORMATS
from transfercli.reporting import Reporter
from transfercli.workflows.export.export import ExportRunRequest, export_run
from transfercli.workflows.train.job import TrainRequest
from transfercli.workflows.train.train import train

# Pixels a side, epochs from scratch, learning rate.
BASES = {
    "small_cnn": (32, 30, 1e-3),
    "resnet18": (64, 12, 1e-3),
    "vgg16": (32, 12, 1e-4),
    "resnet50": (64, 10, 1e-3),
}
SMALLEST, LARGEST = 90, 400
SHOWN = (
    *("base", "format", "quantize", "bytes", "max_abs_diff", "max_abs_diff_bytes", "label_agreement"),
    *("label_agreement_bytes", "accuracy_original", "accuracy_exported", "latency_ms", "load_seconds", "rejected"),
)


def write_digits_on_photos(folder: Path, count: int) -> Path:
    """`count` JPEGs, in one sub-folder a digit."""
    from sklearn.datasets import load_digits, load_sample_images

    digits, photos = load_digits(), load_sample_images().images
    rng = np.random.default_rng(0)
    for number in range(count):
        height, width = rng.integers(SMALLEST, LARGEST, 2)
        photo = photos[number % len(photos)]
        top, left = rng.integers(0, photo.shape[0] - height), rng.integers(0, photo.shape[1] - width)
        ground = photo[top : top + height, left : left + width].astype(np.float32)
        ink = Image.fromarray((digits.images[number % len(digits.images)] * 15.9).astype(np.uint8))
        ink_share = np.asarray(ink.resize((width, height), Image.Resampling.BICUBIC), np.float32)[..., None] / 255
        colour = rng.integers(150, 256, 3)
        place = folder / str(digits.target[number % len(digits.target)]) / f"{number:05d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        mixed = 0.5 * ground * (1 - ink_share) + colour * ink_share
        Image.fromarray(mixed.clip(0, 255).astype(np.uint8)).save(place, quality=90)
    return folder


def trained(work: Path, photos: Path, base: str) -> str:
    """The folder of a run of `base`, trained from random weights."""
    side, epochs, rate = BASES[base]
    config = {
        "name": base,
        "data": {"train": str(photos), "validation": 0.4, "test": None, "image_size": side},
        "model": {"base": base, "weights": "none"},
        "training": {"epochs": epochs, "optimizer": {"learning_rate": rate}, "early_stopping": None},
        "compute": {"cache_dir": str(work / "cache"), "precision": "float32"},
    }
    file = work / f"{base}.yaml"
    file.write_text(yaml.safe_dump(config))
    return train(TrainRequest("pretrain", file, work / "runs"), Reporter()).as_json()["run"]


def exported(run: str, work: Path, base: str) -> list[dict[str, Any]]:
    """A row for each format and precision; one that lost too much has `rejected`, and why."""
    found = []
    for name, row in FORMATS.items():
        for quantize in row.quantize:
            call = ExportRunRequest(run, work / "runs", (name,), quantize, work / "out" / base / quantize)
            try:
                (result,) = export_run(call, Reporter()).artefacts
            except ExportRejected as error:
                result = error.artefacts[0] | {"rejected": error.message}
            found.append({"base": base, "quantize": quantize, **result})
            print(json.dumps({key: found[-1].get(key) for key in SHOWN}), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bases", nargs="+", default=list(BASES), choices=list(BASES))
    parser.add_argument("--images", type=int, default=1300)
    given = parser.parse_args()
    quiet_backend()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        photos = write_digits_on_photos(work / "photos", given.images)
        for base in given.bases:
            rows += exported(trained(work, photos, base), work, base)
            given.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
