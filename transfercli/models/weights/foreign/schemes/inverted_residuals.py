"""Rules for inverted residual blocks, in the names of several libraries."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from transfercli.models.networks.mobile_blocks import Block, Stages
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


def rules_of_parts(
    pattern: str, name: str, parts: Mapping[str, str], here: Mapping[str, str] | None = None
) -> tuple[Rule, ...]:
    """Return the rules of the parts of a block, or of a network's first and last layers.

    pattern, name: of the block, before the parts' names in the file and here. parts: name in the file -> part; one that
    ends with `bn` is a BatchNorm, one with `dwconv` a depthwise convolution, any other a convolution. here: the parts'
    names in the base, if they are not those of Keras's EfficientNets.
    """
    groups = []
    for theirs, part in parts.items():
        whole, ours = pattern + theirs.replace(".", r"\."), name + (here or {}).get(part, part)
        if part.endswith("bn"):
            groups.append(batch_norm(whole, ours))
        else:
            groups.append(convolution(whole, ours, "depthwise" if part.endswith("dwconv") else "convolution"))
    return together(*groups)


def timm_blocks(stages: str, parts: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules of timm's `blocks.STAGE.NUMBER.PART`. stages: regular expression of the stages' numbers."""
    return rules_of_parts(rf"blocks\.({stages})\.(\d+)\.", "block{0:+1}{1:a}_", parts)


TIMM_STEM = rules_of_parts("", "", {"conv_stem": "stem_conv", "bn1": "stem_bn"})
TIMM_TOP = rules_of_parts("", "", {"conv_head": "top_conv", "bn2": "top_bn"})


def positions(stages: Stages) -> list[tuple[int, int, Block]]:
    """Return the number of the stage, the number in it, both from 0, and the block, for each block of a network."""
    return [(number, position, block) for number, blocks in enumerate(stages) for position, block in enumerate(blocks)]


def rules_in_sequence(
    stages: Stages,
    pattern: str,
    parts: Callable[[Block], Mapping[str, str]],
    name: Callable[[int, int, int], str] | None = None,
    here: Mapping[str, str] | None = None,
) -> tuple[Rule, ...]:
    """Return rules for a library, or for a base, that numbers the blocks of all stages in one sequence.

    pattern: of a block's name in the file, with `{index}` or `{after}` (from 0 or 1), `{stage}` and `{number}` for its
    place. parts: name in the file -> part, of a block. name: of a block here, from index, stage and number; that of
    Keras's EfficientNets if it is not given. here: as in `rules_of_parts`.
    """
    groups = []
    for index, (stage, number, block) in enumerate(positions(stages)):
        ours = name(index, stage, number) if name else f"block{stage + 1}{chr(ord('a') + number)}_"
        theirs = re.escape(pattern.format(index=index, after=index + 1, stage=stage, number=number))
        groups.append(rules_of_parts(theirs, ours, parts(block), here))
    return together(*groups)


def timm_parts(block: Block) -> dict[str, str]:
    """Return the parts of a block in timm's names."""
    return {**(INVERTED if block.expanded else SEPARABLE), **(SQUEEZE if block.squeeze else {})}


def timm_marks(stem: int, stages: Stages) -> tuple[dict[str, Shape], tuple[str, ...]]:
    """Return names and shapes that a network has in timm's names, and names that it lacks.

    The shape of the last block of each stage with an expansion tells the depth and the width.
    """
    has: dict[str, Shape] = {"conv_stem.weight": (stem, 3, 3, 3)}
    lacks = []
    for number, blocks in enumerate(stages):
        last = blocks[-1]
        if last.expanded:
            has[f"blocks.{number}.{len(blocks) - 1}.conv_pwl.weight"] = (last.filters, last.expanded, 1, 1)
            lacks.append(f"blocks.{number}.{len(blocks)}.conv_pwl.weight")
        if last.expanded and last.squeeze:
            has[f"blocks.{number}.{len(blocks) - 1}.se.conv_reduce.weight"] = (last.squeeze, last.expanded, 1, 1)
        elif last.expanded:
            lacks.append(f"blocks.{number}.{len(blocks) - 1}.se.conv_reduce.weight")
    return has, tuple(lacks)
