"""ResNets: the names of torchvision, timm and Hugging Face's transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from transfercli.models.weights.foreign.rules import batch_norm, convolution, together
from transfercli.models.weights.foreign.scheme import Member, Scheme

RULES = together(
    convolution("conv1", "conv1_conv"),
    batch_norm("bn1", "conv1_bn"),
    convolution(r"layer(\d)\.(\d+)\.conv([1-3])", "conv{0:+1}_block{1:+1}_{2}_conv"),
    batch_norm(r"layer(\d)\.(\d+)\.bn([1-3])", "conv{0:+1}_block{1:+1}_{2}_bn"),
    convolution(r"layer(\d)\.(\d+)\.downsample\.0", "conv{0:+1}_block{1:+1}_0_conv"),
    batch_norm(r"layer(\d)\.(\d+)\.downsample\.1", "conv{0:+1}_block{1:+1}_0_bn"),
)
TRANSFORMERS_RULES = together(
    convolution(r"embedder\.embedder\.convolution", "conv1_conv"),
    batch_norm(r"embedder\.embedder\.normalization", "conv1_bn"),
    convolution(
        r"encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.(\d)\.convolution", "conv{0:+2}_block{1:+1}_{2:+1}_conv"
    ),
    batch_norm(r"encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.(\d)\.normalization", "conv{0:+2}_block{1:+1}_{2:+1}_bn"),
    convolution(r"encoder\.stages\.(\d)\.layers\.(\d+)\.shortcut\.convolution", "conv{0:+2}_block{1:+1}_0_conv"),
    batch_norm(r"encoder\.stages\.(\d)\.layers\.(\d+)\.shortcut\.normalization", "conv{0:+2}_block{1:+1}_0_bn"),
)


@dataclass(frozen=True)
class _Network:
    """Marks of a network. blocks: number in its third stage; groups, width: of its 3x3 convolutions, if bottlenecks."""

    name: str
    blocks: int
    width: int = 64
    groups: int = 1


_BASIC = {"resnet18": _Network("ResNet-18", 2), "resnet34": _Network("ResNet-34", 6)}
_BOTTLENECKS = {
    "resnet50_torch": _Network("ResNet-50 v1.5", 6),
    "resnet101_torch": _Network("ResNet-101 v1.5", 23),
    "resnet152_torch": _Network("ResNet-152 v1.5", 36),
    "resnext50": _Network("ResNeXt-50 32x4d", 6, 4, 32),
    "resnext101": _Network("ResNeXt-101 32x8d", 23, 8, 32),
    "resnext101_64x4d": _Network("ResNeXt-101 64x4d", 23, 4, 64),
    "wide_resnet50": _Network("Wide ResNet-50-2", 6, 128),
    "wide_resnet101": _Network("Wide ResNet-101-2", 23, 128),
}


def _members(
    stem: str, convolution_name: Callable[[int, int, int], str], bottlenecks: Mapping[str, _Network]
) -> dict[str, Member]:
    """Return the marks of all networks.

    stem: name of the first kernel. convolution_name: (stage, block, number in the block), each from 1 -> a kernel's
    name.
    """
    members = {}
    for base, network in {**_BASIC, **bottlenecks}.items():
        has = {stem: (64, 3, 7, 7)}
        lacks = [convolution_name(3, network.blocks + 1, 1)]
        if base in _BASIC:
            has[convolution_name(3, network.blocks, 2)] = (256, 256, 3, 3)
            lacks.append(convolution_name(1, 1, 3))
        else:
            inner = network.groups * network.width
            has[convolution_name(1, 1, 2)] = (inner, network.width, 3, 3)
            has[convolution_name(3, network.blocks, 3)] = (1024, 4 * inner, 1, 1)
        members[base] = Member(network.name, has, tuple(lacks))
    return members


TORCHVISION = Scheme(
    "resnet",
    "PyTorch names of a ResNet",
    "layer1.0.conv1.weight",
    RULES,
    _members(
        "conv1.weight", lambda stage, block, number: f"layer{stage}.{block - 1}.conv{number}.weight", _BOTTLENECKS
    ),
    head="fc",
)
# Its networks are the plain ones only: the library builds no groups and no other widths.
TRANSFORMERS = Scheme(
    "resnet_transformers",
    "Hugging Face names of a ResNet",
    "embedder.embedder.convolution.weight",
    TRANSFORMERS_RULES,
    _members(
        "embedder.embedder.convolution.weight",
        lambda stage, block, number: (
            f"encoder.stages.{stage - 1}.layers.{block - 1}.layer.{number - 1}.convolution.weight"
        ),
        {base: network for base, network in _BOTTLENECKS.items() if network.groups == 1 and network.width == 64},
    ),
    head="classifier.1",
)
SCHEMES = (TORCHVISION, TRANSFORMERS)
