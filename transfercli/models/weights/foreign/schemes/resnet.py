"""ResNets: the names of torchvision and timm."""

from __future__ import annotations

from transfercli.models.weights.foreign.rules import batch_norm, convolution, together
from transfercli.models.weights.foreign.scheme import Member, Scheme

RULES = together(
    convolution("conv1", "conv1_conv"),
    batch_norm("bn1", "conv1_bn"),
    convolution(r"layer(\d)\.(\d+)\.conv(\d)", "conv{0:+1}_block{1:+1}_{2}_conv"),
    batch_norm(r"layer(\d)\.(\d+)\.bn(\d)", "conv{0:+1}_block{1:+1}_{2}_bn"),
    convolution(r"layer(\d)\.(\d+)\.downsample\.0", "conv{0:+1}_block{1:+1}_0_conv"),
    batch_norm(r"layer(\d)\.(\d+)\.downsample\.1", "conv{0:+1}_block{1:+1}_0_bn"),
)


def _basic(network: str, blocks: int) -> Member:
    """Return the marks of a network of basic blocks. blocks: of its third stage."""
    return Member(
        network,
        {"conv1.weight": (64, 3, 7, 7), f"layer3.{blocks - 1}.conv2.weight": (256, 256, 3, 3)},
        (f"layer3.{blocks}.conv1.weight", "layer1.0.conv3.weight"),
    )


def _bottleneck(network: str, blocks: int, groups: int = 1, group_width: int = 64) -> Member:
    width = groups * group_width
    return Member(
        network,
        {
            "conv1.weight": (64, 3, 7, 7),
            "layer1.0.conv2.weight": (width, group_width, 3, 3),
            f"layer3.{blocks - 1}.conv3.weight": (1024, 4 * width, 1, 1),
        },
        (f"layer3.{blocks}.conv1.weight",),
    )


TORCHVISION = Scheme(
    "resnet",
    "PyTorch names of a ResNet",
    "layer1.0.conv1.weight",
    RULES,
    {
        "resnet18": _basic("ResNet-18", 2),
        "resnet34": _basic("ResNet-34", 6),
        "resnet50_torch": _bottleneck("ResNet-50 v1.5", 6),
    },
    head="fc",
)
SCHEMES = (TORCHVISION,)
