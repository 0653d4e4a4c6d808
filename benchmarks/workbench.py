"""Helpers of several benchmarks: generated images, random weights, configs and trainings; not a script itself."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from transfercli.config.schema import ComputeConfig
from transfercli.reporting import Reporter
from transfercli.workflows.train.job import TrainRequest
from transfercli.workflows.train.train import train

CLASSES = 5
CALIBRATION_IMAGES = 16


def write_images(folder: Path, count: int, side: int) -> Path:
    """Write JPEGs of smooth shapes with noise, one sub-folder per class, and return the folder.

    Args:
        folder: created if it is missing.
        count: number of images; the classes, which differ in colour, take turns.
        side: height and width in pixels.
    """
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 216, (CLASSES, 3))
    for number in range(count):
        label = number % CLASSES
        shapes = (rng.normal(0, 50, (8, 8, 3)) + colours[label]).clip(0, 255).astype(np.uint8)
        smooth = np.asarray(Image.fromarray(shapes).resize((side, side), Image.Resampling.BICUBIC), np.int16)
        noisy = (smooth + rng.integers(-8, 9, smooth.shape, np.int16)).clip(0, 255).astype(np.uint8)
        path = folder / f"class{label}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy).save(path, quality=90)
    return folder


def read_images(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 [N, H, W, 3] and class indices int [N] of a folder from `write_images`."""
    files = sorted(folder.glob("*/*.jpg"))
    return np.stack([np.asarray(Image.open(file)) for file in files]), np.array([int(f.parent.name[-1]) for f in files])


def write_weights(path: Path, base: str, images: np.ndarray) -> Path:
    """Write random weights of a base (He et al. 2015) and return the path.

    BatchNorm has the statistics of some of the images, uint8 [N, H, W, 3]: activations neither vanish nor explode.
    """
    import keras
    import safetensors.numpy

    from transfercli.models.bases import BASES
    from transfercli.models.preprocessing import preprocess
    from transfercli.models.weights.pretrained import base_tensors

    keras.utils.set_random_seed(0)
    network = BASES[base].build(images.shape[1:])
    initializer = keras.initializers.HeNormal(seed=0)
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(initializer(layer.kernel.shape))
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    pixels = keras.ops.convert_to_tensor(images[:CALIBRATION_IMAGES])
    network(preprocess(pixels, BASES[base].preprocessing, 3), training=True)
    safetensors.numpy.save_file(base_tensors(network), path)
    return path


def make_config(images: Path, weights: Path, base: str, side: int, cache: Path | None, **more: Any) -> dict[str, Any]:
    """Return a config without a name and a test split; `cache` None turns the cache off, `more` adds sections."""
    compute = {"cache_dir": str(cache)} if cache else {"cache": "off"}
    return {
        "data": {"train": str(images), "test": None, "image_size": side, "batch_size": 32},
        "model": {"base": base, "weights": {"path": str(weights)}, "head": more.pop("head", {})},
        "compute": compute | more.pop("compute", {}),
        **more,
    }


def finetune(work: Path, name: str, config: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
    """Run `finetune` in this process, with its runs in `work / "runs"`, and return its JSON result."""
    file = work / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"name": name, **config}))
    return train(TrainRequest("finetune", file, work / "runs", dry_run=dry_run), Reporter()).as_json()


def prepare_backend() -> None:
    """Configure Keras as the program does; call it before any model is built."""
    from transfercli.training.backend import prepare

    prepare(ComputeConfig(), seed=0)


def median(repeats: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median over the repeats for each key."""
    return {key: statistics.median(repeat[key] for repeat in repeats) for key in repeats[0]}


def run_measurement(
    doc: str | None, measure: Callable[[Path, str, int, int], dict[str, Any]], *, side: int, images: int
) -> None:
    """Parse `OUT.json [--base resnet50] [--side S] [--images N]`, measure in a temporary folder, and write the result.

    Args:
        doc: text for `--help`.
        measure: receives the folder, the base, the side in pixels and the number of images; returns the result.
        side: default of `--side`.
        images: default of `--images`.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", default="resnet50")
    parser.add_argument("--side", type=int, default=side)
    parser.add_argument("--images", type=int, default=images)
    args = parser.parse_args()
    prepare_backend()
    with tempfile.TemporaryDirectory() as folder:
        result = json.dumps(measure(Path(folder), args.base, args.side, args.images), indent=1)
    args.out.write_text(result)
    print(result)
