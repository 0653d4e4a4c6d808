"""Rules for inverted residual blocks, in the names of several libraries; here they are those of Keras's EfficientNets."""

from __future__ import annotations

from collections.abc import Mapping

from transfercli.models.networks.mobile_blocks import Stages
from transfercli.models.weights.foreign.rules import Rule, batch_norm, convolution, together
from transfercli.models.weights.foreign.scheme import Shape

# Part of a block in timm's names -> here. In a block without expansion the same names are of other parts.
SEPARABLE = {"conv_dw": "dwconv", "bn1": "bn", "conv_pw": "project_conv", "bn2": "project_bn"}
INVERTED = {
    "conv_pw": "expand_conv",
    "bn1": "expand_bn",
    "conv_dw": "dwconv",
    "bn2": "bn",
    "conv_pwl": "project_conv",
    "bn3": "project_bn",
}
SQUEEZE = {"se.conv_reduce": "se_reduce", "se.conv_expand": "se_expand"}


def rules_of_parts(pattern: str, name: str, parts: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules of the parts of a block.

    pattern, name: of the block, before the parts' names in the file and here. parts: name in the file -> here; one that
    ends with `bn` is a BatchNorm, one with `dwconv` a depthwise convolution, any other a convolution.
    """
    groups = []
    for theirs, ours in parts.items():
        whole = pattern + theirs.replace(".", r"\.")
        if ours.endswith("bn"):
            groups.append(batch_norm(whole, name + ours))
        else:
            groups.append(convolution(whole, name + ours, "depthwise" if ours.endswith("dwconv") else "convolution"))
    return together(*groups)


def timm_blocks(stages: str, parts: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules of timm's `blocks.STAGE.NUMBER.PART`. stages: regular expression of the stages' numbers."""
    return rules_of_parts(rf"blocks\.({stages})\.(\d+)\.", "block{0:+1}{1:a}_", parts)


TIMM_STEM = rules_of_parts("", "", {"conv_stem": "stem_conv", "bn1": "stem_bn"})
TIMM_TOP = rules_of_parts("", "", {"conv_head": "top_conv", "bn2": "top_bn"})


def names_in_order(stages: Stages) -> list[str]:
    """Return the name here of each block, for libraries that number the blocks of all stages in one sequence."""
    return [
        f"block{number}{chr(ord('a') + position)}_"
        for number, blocks in enumerate(stages, start=1)
        for position in range(len(blocks))
    ]


def timm_marks(stem: int, stages: Stages) -> tuple[dict[str, Shape], tuple[str, ...]]:
    """Return names and shapes that a network has in timm's names, and names that it lacks.

    The shape of the last block of each stage with an expansion tells the depth and the width.
    """
    has: dict[str, Shape] = {"conv_stem.weight": (stem, 3, 3, 3)}
    lacks = []
    for number, blocks in enumerate(stages):
        last = blocks[-1]
        if last.expanded and last.kernel:
            has[f"blocks.{number}.{len(blocks) - 1}.conv_pwl.weight"] = (last.filters, last.expanded, 1, 1)
            lacks.append(f"blocks.{number}.{len(blocks)}.conv_pwl.weight")
    first = stages[0][0]
    if first.squeeze:
        has["blocks.0.0.se.conv_reduce.weight"] = (first.squeeze, stem, 1, 1)
    else:
        lacks.append("blocks.0.0.se.conv_reduce.weight")
    return has, tuple(lacks)
