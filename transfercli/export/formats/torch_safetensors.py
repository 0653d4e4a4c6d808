"""PyTorch's names and layout in a safetensors file, for `load_state_dict` of torchvision's or timm's network.

Written without PyTorch. The tensors follow from the rules by which files of these libraries are read; PyTorch itself
proves them if it is installed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy

from transfercli.config.types import ORDINAL
from transfercli.errors import ArtefactError, UsageError
from transfercli.export.spec import CARD, ExportSpec, Network, WriteJob, card_text, parse_card
from transfercli.io.bounded import read_json
from transfercli.models.weights.safetensors_reader import read_safetensors

if TYPE_CHECKING:
    from transfercli.export.formats.readers import Artefact

CONFIG = "config.json"
# Key and value of a config, as in Hugging Face's libraries, for networks whose probabilities are sigmoids.
PROBLEM, SEVERAL = "problem_type", "multi_label_classification"
# Base -> the name of its network in torchvision and timm.
ARCHITECTURES = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50_torch": "resnet50",
    "resnet101_torch": "resnet101",
    "resnet152_torch": "resnet152",
    "resnext50": "resnext50_32x4d",
    "resnext101": "resnext101_32x8d",
    "resnext101_64x4d": "resnext101_64x4d",
    "wide_resnet50": "wide_resnet50_2",
    "wide_resnet101": "wide_resnet101_2",
    "vgg11": "vgg11",
    "vgg13": "vgg13",
    "vgg16_torch": "vgg16",
    "vgg19_torch": "vgg19",
    "vgg11_bn": "vgg11_bn",
    "vgg13_bn": "vgg13_bn",
    "vgg16_bn": "vgg16_bn",
    "vgg19_bn": "vgg19_bn",
    "densenet121": "densenet121",
    "densenet161": "densenet161",
    "densenet169": "densenet169",
    "densenet201": "densenet201",
}
VGG_FEATURES = 512
VGG_HEAD = "classifier"  # one layer here; three in torchvision's network
# Pixels of 0 to 1 that a network is given are reduced by the mean and divided by the standard deviation.
STANDARDISED = {
    "torch": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
CROP_MODES = {"stretch": "squash", "crop": "center", "pad": "border"}  # timm's names of `data.resize`
MOST_CLASSES = 100_000


def check_network(network: Network) -> None:
    """Raise `UsageError` if torchvision and timm have no network that computes the same."""
    problem = _problem(network)
    if problem:
        raise UsageError(f"--format torch_safetensors: {problem[0]}", problem[1])


def _problem(network: Network) -> tuple[str, str] | None:
    """Return message and hint if a network cannot be written, else None."""
    others = "choose another format, such as onnx or safetensors"
    if network.base not in ARCHITECTURES:
        twin = next((base for base in ARCHITECTURES if base == f"{network.base}_torch"), None)
        reason = f"{network.base} is not a network of torchvision or timm that this format writes"
        if twin:
            reason = f"{network.base} is Keras's network, which differs from that of torchvision and timm"
            return reason, f"train with model.base: {twin}, or {others}"
        return reason, f"bases that are written: {', '.join(ARCHITECTURES)}; or {others}"
    if network.channels != 3:
        return f"the base takes {network.channels} channel, and those of torchvision and timm take three", others
    if network.pooling != "avg" or network.hidden:
        head = f"pooling {network.pooling}" + f" and hidden layers {list(network.hidden)}" * bool(network.hidden)
        return (
            f"the head has {head}; torchvision and timm have average pooling and one linear layer",
            f"train with model.head: {{pooling: avg, hidden: []}}, or {others}",
        )
    if network.task == ORDINAL:
        return "the head computes ordered classes from steps; torchvision and timm have one linear layer", others
    if not network.plain:
        return (
            "the head reads several layers, or normalises features; torchvision and timm read the last as it is",
            f"train with model.head: {{taps: [], normalisation: none}}, or {others}",
        )
    return None


def write_torch_safetensors(job: WriteJob) -> None:
    """Write `model.safetensors` and timm's `config.json`. Raises `UsageError` for a network that PyTorch lacks."""
    from transfercli.models.weights.foreign.writing import with_torch_names, written_scheme

    network = job.network
    assert network is not None, "the exporter passes the network"
    check_network(network)
    weights = {name: value for name, value in network.tensors.items() if name.startswith("base/")}
    scheme = written_scheme(network.base, weights)
    if scheme is None:
        raise ArtefactError(f"torch_safetensors: no rules name all weights of {network.base}")
    tensors = with_torch_names(network.base, weights, scheme)
    name, (kernel, bias) = scheme.head or VGG_HEAD, _head(network, job.spec)
    tensors |= {f"{name}.weight": np.ascontiguousarray(kernel.T), f"{name}.bias": bias}
    safetensors.numpy.save_file(dict(sorted(tensors.items())), job.path, {"format": "pt", CARD: card_text(job.spec)})
    config = timm_config(network, job.spec, name)
    job.path.with_name(CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _head(network: Network, spec: ExportSpec) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel [d, C] and bias [C] whose softmax gives the calibrated probabilities, float32.

    With several labels an image, it is their sigmoid. A sigmoid of one unit z is the softmax of 0 and z.
    """
    kernel, bias = (network.tensors[f"head/logits/{part}"] for part in ("kernel", "bias"))
    if spec.decisions:
        scales, offsets = np.array(spec.decisions.scales), np.array(spec.decisions.offsets)
        return (kernel * scales).astype("float32"), (bias * scales + offsets).astype("float32")
    kernel, bias = kernel / spec.temperature, bias / spec.temperature
    if kernel.shape[1] == 1:
        kernel, bias = np.concatenate([0 * kernel, kernel], axis=1), np.concatenate([0 * bias, bias])
    return kernel.astype("float32"), bias.astype("float32")


def timm_config(network: Network, spec: ExportSpec, head: str) -> dict[str, Any]:
    """Return the config of a model in timm's form, as on the Hugging Face Hub."""
    mean, std = STANDARDISED[network.preprocessing]
    height, width = spec.image_size
    calibration: dict[str, Any] = {
        "temperature": spec.temperature,
        "temperature_is_in": f"{head}.weight and {head}.bias",
    }
    if spec.decisions:
        scales, offsets, thresholds, _ = (list(values) for values in astuple(spec.decisions))
        calibration = {PROBLEM: SEVERAL, "scales": scales, "offsets": offsets, "thresholds": thresholds}
        calibration |= {"scales_and_offsets_are_in": f"{head}.weight and {head}.bias"}
    return {
        **calibration,
        "architecture": ARCHITECTURES[network.base],
        "num_classes": len(spec.labels),
        "num_features": int(network.tensors["head/logits/kernel"].shape[0]),
        "global_pool": "avg",
        "label_names": list(spec.labels),
        "pretrained_cfg": {
            "input_size": [3, height, width],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": CROP_MODES[spec.resize],
            "mean": list(mean),
            "std": list(std),
            "num_classes": len(spec.labels),
            "label_names": list(spec.labels),
            "classifier": head,
        },
    }


def read_torch_safetensors(path: Path) -> Artefact:
    """Load an artefact into torchvision's network, all names required.

    Raises `ArtefactError` if its config is not one that `write_torch_safetensors` writes, or the tensors do not fit.
    """
    import torch

    from transfercli.export.formats.readers import Artefact

    config = read_json(path.with_name(CONFIG))
    architecture, classes, mean, std = _checked(config, path.with_name(CONFIG))
    network = _network(architecture, classes)
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in read_safetensors(path).items()}
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise ArtefactError(f"{path.name} does not fit {architecture}: {error}", "export the run again") from error
    network.eval()
    shift, scale = (torch.tensor(values).reshape(3, 1, 1) for values in (mean, std))

    several = config.get(PROBLEM) == SEVERAL

    def from_tensors(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
            logits = network((pixels - shift) / scale)
            probabilities: np.ndarray = (torch.sigmoid(logits) if several else torch.softmax(logits, 1)).numpy()
        return probabilities

    with safetensors.safe_open(os.fspath(path), "numpy") as file:
        card = (file.metadata() or {}).get(CARD)
    spec = parse_card(card) if card else None
    return Artefact(from_tensors, labels=spec.labels if spec else None, spec=spec)


def _network(architecture: str, classes: int) -> Any:
    """Build torchvision's network; a VGG with one linear layer on the mean, as it was trained."""
    import torch
    import torchvision

    network = torchvision.models.get_model(architecture, weights=None, num_classes=classes)
    if architecture.startswith("vgg"):
        network.avgpool, network.classifier = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Linear(VGG_FEATURES, classes)
    return network


def _checked(config: Any, path: Path) -> tuple[str, int, list[float], list[float]]:
    """Return architecture, number of classes, mean and standard deviation of a config. Raises `ArtefactError`."""
    problem = ArtefactError(f"{path.name} is not a config of this program", "export the run again")
    if not isinstance(config, Mapping) or not isinstance(pixels := config.get("pretrained_cfg"), Mapping):
        raise problem
    architecture, classes = config.get("architecture"), config.get("num_classes")
    values = [pixels.get("mean"), pixels.get("std")]
    lists = all(isinstance(one, list) and len(one) == 3 and all(type(x) is float for x in one) for one in values)
    if architecture not in ARCHITECTURES.values() or type(classes) is not int or not lists:
        raise problem
    if not 2 <= classes <= MOST_CLASSES:
        raise problem
    return str(architecture), classes, pixels["mean"], pixels["std"]
