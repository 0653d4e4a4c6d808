"""Features of networks of other libraries with made weights: fixtures of `tests/models/weights/foreign`, and a table.

    python -m benchmarks.foreign_weights [--folder FOLDER] [NAME ...]   (needs torch, torchvision, timm, transformers)
    python -m benchmarks.foreign_weights --compare FOLDER               (needs transfercli)

The first command writes a file for each network: names, shapes and a few features that the original library computed.
The second prints a Markdown table of how far the features of the base here are from these. A row of `FIXTURES` is the
file's name and a function that returns the network, its features and its preprocessing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import foreign_mobile, foreign_transformers
from tests.models.weights.foreign.made_weights import made_images, made_tensor, sample

FOLDER = Path(__file__).parent.parent / "tests/models/weights/foreign/fixtures"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

# network, function from a batch [N, C, H, W] to features in Keras's order, (mean, std) of pixels of 0 to 1
Original = tuple[Any, Callable[[Any], Any], tuple[Any, Any]]
Sizes = tuple[tuple[int, int], ...]  # (height, width) of the images
Row = tuple[Callable[[], Original], str, Sizes]  # original, base, image sizes
SIZES: Sizes = ((64, 64), (97, 97), (75, 112))
WITH_224: Sizes = ((64, 64), (97, 97), (224, 224))


def torchvision_resnet(name: str) -> Original:
    import torch
    import torchvision

    model = getattr(torchvision.models, name)(weights=None)
    features = torch.nn.Sequential(*list(model.children())[:-2])
    return model, lambda x: features(x).permute(0, 2, 3, 1), IMAGENET


def torchvision_features(name: str) -> Original:
    """Return a VGG or DenseNet of torchvision; a DenseNet's last ReLU is in its `forward`, a VGG ends with one."""
    import torch
    import torchvision

    model = getattr(torchvision.models, name)(weights=None)
    return model, lambda x: torch.relu(model.features(x)).permute(0, 2, 3, 1), IMAGENET


def timm_cnn(name: str) -> Original:
    """Return a network of timm whose features are a map, with the preprocessing of its published weights."""
    import timm

    model = timm.create_model(name)
    config = model.pretrained_cfg
    return model, lambda x: model.forward_features(x).permute(0, 2, 3, 1), (config["mean"], config["std"])


def transformers_resnet(**config: Any) -> Original:
    from transformers import ResNetConfig, ResNetForImageClassification

    model = ResNetForImageClassification(ResNetConfig(**config))
    return model, lambda x: model.resnet(x).last_hidden_state.permute(0, 2, 3, 1), IMAGENET


def _torchvision_resnets(bases: dict[str, str], sizes: Sizes = SIZES) -> dict[str, Row]:
    return {
        f"torchvision_{name}": (lambda name=name: torchvision_resnet(name), base, sizes) for name, base in bases.items()
    }


def _torchvision_features(bases: dict[str, str], sizes: Sizes = SIZES) -> dict[str, Row]:
    return {
        f"torchvision_{name}": (lambda name=name: torchvision_features(name), base, sizes)
        for name, base in bases.items()
    }


def _timm(bases: dict[str, str], sizes: Sizes = SIZES) -> dict[str, Row]:
    return {f"timm_{name}": (lambda name=name: timm_cnn(name), base, sizes) for name, base in bases.items()}


_BASIC = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2]}
FIXTURES: dict[str, Row] = {
    **foreign_transformers.FIXTURES,
    **foreign_mobile.FIXTURES,
    **_torchvision_resnets({"resnet18": "resnet18", "resnet50": "resnet50_torch"}),
    **_torchvision_resnets({"resnext50_32x4d": "resnext50", "wide_resnet50_2": "wide_resnet50"}),
    **_timm({"resnet34": "resnet34"}),
    "transformers_resnet18": (lambda: transformers_resnet(**_BASIC), "resnet18", WITH_224),
    "transformers_resnet50": (transformers_resnet, "resnet50_torch", SIZES),
    **_torchvision_features({"vgg11": "vgg11", "vgg16": "vgg16_torch", "vgg16_bn": "vgg16_bn"}),
    **_torchvision_features({"densenet121": "densenet121"}),
    **_timm({"vgg13_bn": "vgg13_bn", "densenet161": "densenet161"}),
}
# Deeper and wider variants of the same architectures: their files are large, so they are compared on request only.
VARIANTS: dict[str, Row] = {
    **foreign_mobile.VARIANTS,
    **_torchvision_resnets({"resnet101": "resnet101_torch", "resnet152": "resnet152_torch"}),
    **_torchvision_resnets({"resnext101_32x8d": "resnext101", "resnext101_64x4d": "resnext101_64x4d"}),
    **_torchvision_resnets({"wide_resnet101_2": "wide_resnet101"}),
    **_torchvision_features({"vgg13": "vgg13", "vgg19": "vgg19_torch", "vgg11_bn": "vgg11_bn", "vgg19_bn": "vgg19_bn"}),
    **_timm({"densenet169": "densenet169", "densenet201": "densenet201"}),
}


def write_fixture(name: str, folder: Path) -> None:
    """Compute and write one fixture."""
    import torch

    original, base, sizes = {**FIXTURES, **VARIANTS}[name]
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
    folder.mkdir(exist_ok=True)
    content = {"base": base, "shapes": shapes, "features": samples}
    (folder / f"{name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")
    print(name, {size: values[-1] for size, values in samples.items()})


def print_table(folder: Path) -> None:
    """Print the largest difference of features for each fixture in `folder`, as part of the largest feature."""
    from tests.models.weights.foreign.comparison import relative_errors

    print("| network | base | weights | largest relative error |\n|---|---|---:|---|")
    for path in sorted(folder.glob("*.json")):
        fixture = json.loads(path.read_text())
        errors = ", ".join(f"{error:.0e} at {size}" for size, error in relative_errors(fixture).items())
        weights = sum(int(np.prod(shape)) for shape in fixture["shapes"].values())
        print(f"| {path.stem} | {fixture['base']} | {weights / 1e6:.1f} M | {errors} |", flush=True)


def main() -> None:
    """Write fixtures, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="fixtures to write; all that are stored by default")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="to write them to")
    parser.add_argument("--compare", type=Path, metavar="FOLDER", help="print the table for the fixtures in FOLDER")
    arguments = parser.parse_args()
    if arguments.compare:
        print_table(arguments.compare)
        return
    for chosen in arguments.names or FIXTURES:
        write_fixture(chosen, arguments.folder)


if __name__ == "__main__":
    main()
