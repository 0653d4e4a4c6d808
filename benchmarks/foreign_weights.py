"""Fixtures of `tests/models/weights/foreign`: names, shapes and a few features, computed by the original libraries.

    python -m benchmarks.foreign_weights [NAME ...]    (needs torch, torchvision, timm and transformers)

A row is the fixture's name and a function that returns the network, its features and its preprocessing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import foreign_transformers
from tests.models.weights.foreign.made_weights import made_images, made_tensor, sample

FOLDER = Path(__file__).parent.parent / "tests/models/weights/foreign/fixtures"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

# network, function from a batch [N, C, H, W] to features in Keras's order, (mean, std) of pixels of 0 to 1
Original = tuple[Any, Callable[[Any], Any], tuple[Any, Any]]


def torchvision_resnet(name: str) -> Original:
    import torch
    import torchvision

    model = getattr(torchvision.models, name)(weights=None)
    features = torch.nn.Sequential(*list(model.children())[:-2])
    return model, lambda x: features(x).permute(0, 2, 3, 1), IMAGENET


def timm_cnn(name: str) -> Original:
    """Return a network of timm whose features are a map, with the preprocessing of its published weights."""
    import timm

    model = timm.create_model(name)
    config = model.pretrained_cfg
    return model, lambda x: model.forward_features(x).permute(0, 2, 3, 1), (config["mean"], config["std"])


# fixture -> (original, base, image sizes (height, width))
FIXTURES: dict[str, tuple[Callable[[], Original], str, tuple[tuple[int, int], ...]]] = {
    "torchvision_resnet18": (lambda: torchvision_resnet("resnet18"), "resnet18", ((64, 64), (97, 97), (75, 112))),
    "torchvision_resnet50": (lambda: torchvision_resnet("resnet50"), "resnet50_torch", ((64, 64), (97, 97), (75, 112))),
    "timm_resnet34": (lambda: timm_cnn("resnet34"), "resnet34", ((64, 64), (97, 97), (75, 112))),
    **foreign_transformers.FIXTURES,
}


def write_fixture(name: str) -> None:
    """Compute and write one fixture."""
    import torch

    original, base, sizes = FIXTURES[name]
    model, features, (mean, std) = original()
    model.eval()
    state = model.state_dict()
    shapes = {key: list(value.shape) for key, value in state.items()}
    model.load_state_dict({key: torch.from_numpy(made_tensor(key, tuple(shapes[key]))) for key in state})
    samples = {}
    for height, width in sizes:
        pixels = (made_images(height, width).astype("float32") / 255 - np.float32(mean)) / np.float32(std)
        with torch.no_grad():
            values = features(torch.from_numpy(pixels.astype("float32")).permute(0, 3, 1, 2)).numpy()
        samples[f"{height}x{width}"] = sample(values)
    FOLDER.mkdir(exist_ok=True)
    content = {"base": base, "shapes": shapes, "features": samples}
    (FOLDER / f"{name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")
    print(name, {size: values[-1] for size, values in samples.items()})


if __name__ == "__main__":
    for chosen in sys.argv[1:] or FIXTURES:
        write_fixture(chosen)
