"""What several benchmarks share: pictures, weights and trainings that need nothing from outside."""

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
CALIBRATED_ON = 16  # pictures


def write_pictures(folder: Path, count: int, side: int) -> Path:
    """`count` JPEGs of smooth shapes with noise, `side` pixels square, in classes that differ by their colours."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 216, (CLASSES, 3))
    for number in range(count):
        label = number % CLASSES
        shapes = (rng.normal(0, 50, (8, 8, 3)) + colours[label]).clip(0, 255).astype(np.uint8)
        smooth = np.asarray(Image.fromarray(shapes).resize((side, side), Image.Resampling.BICUBIC), np.int16)
        noisy = (smooth + rng.integers(-8, 9, smooth.shape, np.int16)).clip(0, 255).astype(np.uint8)
        place = folder / f"class{label}" / f"{number:05d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy).save(place, quality=90)
    return folder


def read_pictures(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, H, W, 3] and class numbers, of a folder as `write_pictures` makes it."""
    files = sorted(folder.glob("*/*.jpg"))
    return np.stack([np.asarray(Image.open(file)) for file in files]), np.array([int(f.parent.name[-1]) for f in files])


def write_weights(place: Path, base: str, pictures: np.ndarray) -> Path:
    """Random weights of a base (He et al. 2015), with BatchNorm calibrated: no activation fades or explodes."""
    import keras
    import safetensors.numpy

    from transfercli.models.bases import BASES
    from transfercli.models.preprocessing import preprocess
    from transfercli.models.weights.pretrained import base_tensors

    keras.utils.set_random_seed(0)
    network = BASES[base].build(pictures.shape[1:])
    start = keras.initializers.HeNormal(seed=0)
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(start(layer.kernel.shape))
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    pixels = keras.ops.convert_to_tensor(pictures[:CALIBRATED_ON])
    network(preprocess(pixels, BASES[base].preprocessing, 3), training=True)
    safetensors.numpy.save_file(base_tensors(network), place)
    return place


def settings(pictures: Path, weights: Path, base: str, side: int, cache: Path | None, **more: Any) -> dict[str, Any]:
    """A config on these pictures, all of which train or validate; without a `cache` nothing is kept."""
    compute = {"cache_dir": str(cache)} if cache else {"cache": "off"}
    return {
        "data": {"train": str(pictures), "test": None, "image_size": side, "batch_size": 32},
        "model": {"base": base, "weights": {"path": str(weights)}, "head": more.pop("head", {})},
        "compute": compute | more.pop("compute", {}),
        **more,
    }


def fit(work: Path, name: str, config: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
    """The result of `finetune` in this process."""
    file = work / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"name": name, **config}))
    return train(TrainRequest("finetune", file, work / "runs", dry_run=dry_run), Reporter()).as_json()


def quiet_backend() -> None:
    """Set Keras up as the program does, before anything is built."""
    from transfercli.training.backend import prepare

    prepare(ComputeConfig(), seed=0)


def median(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of each number, under the name it has in every one."""
    return {key: statistics.median(one[key] for one in found) for key in found[0]}


def measured_as_typed(
    doc: str | None, measure: Callable[[Path, str, int, int], dict[str, Any]], *, side: int, images: int
) -> None:
    """The command line `OUT.json [--base resnet50] [--side S] [--images N]`: measures in a folder of its own."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", default="resnet50")
    parser.add_argument("--side", type=int, default=side)
    parser.add_argument("--images", type=int, default=images)
    given = parser.parse_args()
    quiet_backend()
    with tempfile.TemporaryDirectory() as place:
        found = json.dumps(measure(Path(place), given.base, given.side, given.images), indent=1)
    given.out.write_text(found)
    print(found)
