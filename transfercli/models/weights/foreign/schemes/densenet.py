"""DenseNets: the names of torchvision and timm, and torchvision's names of 2017 (`norm.1` for `norm1`)."""

from __future__ import annotations

from transfercli.models.weights.foreign.rules import Rule, batch_norm, convolution, together
from transfercli.models.weights.foreign.scheme import Member, Scheme

_LAYER = r"features\.denseblock(\d)\.denselayer(\d+)"


def _norm(pattern: str, name: str) -> tuple[Rule, ...]:
    """Return the rules of a BatchNorm, whose epsilon is 1e-5 in PyTorch and 1.001e-5 in keras.applications."""
    return tuple(
        Rule(rule.pattern, "variance_for_keras", rule.name) if rule.name.endswith("moving_variance") else rule
        for rule in batch_norm(pattern, name)
    )


RULES = together(
    convolution(r"features\.conv0", "conv1_conv"),
    _norm(r"features\.norm0", "conv1_bn"),
    _norm(rf"{_LAYER}\.norm\.?1", "conv{0:+1}_block{1}_0_bn"),
    convolution(rf"{_LAYER}\.conv\.?1", "conv{0:+1}_block{1}_1_conv"),
    _norm(rf"{_LAYER}\.norm\.?2", "conv{0:+1}_block{1}_1_bn"),
    convolution(rf"{_LAYER}\.conv\.?2", "conv{0:+1}_block{1}_2_conv"),
    _norm(r"features\.transition(\d)\.norm", "pool{0:+1}_bn"),
    convolution(r"features\.transition(\d)\.conv", "pool{0:+1}_conv"),
    _norm(r"features\.norm5", "bn"),
)


def _member(network: str, width: int, third: int, fourth: int, inputs: int) -> Member:
    """Return the marks of a network.

    width: of its stem. third, fourth: number of layers of its last two blocks. inputs: channels of its last norm.
    """
    return Member(
        network,
        {"features.conv0.weight": (width, 3, 7, 7), "features.norm5.weight": (inputs,)},
        (
            f"features.denseblock3.denselayer{third + 1}.norm1.weight",
            f"features.denseblock3.denselayer{third + 1}.norm.1.weight",
            f"features.denseblock4.denselayer{fourth + 1}.norm1.weight",
            f"features.denseblock4.denselayer{fourth + 1}.norm.1.weight",
        ),
    )


SCHEMES = (
    Scheme(
        "densenet",
        "PyTorch names of a DenseNet",
        "features.conv0.weight",
        RULES,
        {
            "densenet121": _member("DenseNet-121", 64, 24, 16, 1024),
            "densenet161": _member("DenseNet-161", 96, 36, 24, 2208),
            "densenet169": _member("DenseNet-169", 64, 32, 32, 1664),
            "densenet201": _member("DenseNet-201", 64, 48, 32, 1920),
        },
        head="classifier",
    ),
)
