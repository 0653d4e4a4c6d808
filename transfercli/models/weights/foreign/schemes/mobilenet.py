"""MobileNets: the names of timm, torchvision and HF transformers.

TensorFlow's MobileNetV3 and timm's own have the same names and shapes in timm, so the names alone do not choose.
"""

from __future__ import annotations

from collections.abc import Mapping

from transfercli.models.networks import mobile_blocks
from transfercli.models.networks.mobile_blocks import Block, Stages
from transfercli.models.weights.foreign.rules import Rule, together
from transfercli.models.weights.foreign.scheme import Member, Scheme
from transfercli.models.weights.foreign.schemes.inverted_residuals import (
    INVERTED,
    SEPARABLE,
    SQUEEZE,
    TIMM_STEM,
    TIMM_TOP,
    positions,
    rules_in_sequence,
    rules_of_parts,
    timm_blocks,
    timm_marks,
    timm_parts,
)

V2 = mobile_blocks.mobilenet_v2()
V3 = {"large": mobile_blocks.mobilenet_v3_large(), "small": mobile_blocks.mobilenet_v3_small()}
V3_CHANNELS = {"large": 960, "small": 576}
V4 = {
    "small": mobile_blocks.mobilenet_v4_small(),
    "medium": mobile_blocks.mobilenet_v4_medium(),
    "large": mobile_blocks.mobilenet_v4_large(),
}
BEHIND = {r"(conv_head|norm_head|classifier)\..*": "of the classification head, which has a hidden layer"}

# Names of a block's parts in keras.applications.
KERAS_V2 = {
    "expand_conv": "expand",
    "expand_bn": "expand_BN",
    "dwconv": "depthwise",
    "bn": "depthwise_BN",
    "project_conv": "project",
    "project_bn": "project_BN",
    "stem_conv": "Conv1",
    "stem_bn": "bn_Conv1",
    "top_conv": "Conv_1",
    "top_bn": "Conv_1_bn",
}
KERAS_V3 = {
    "expand_conv": "expand",
    "dwconv": "depthwise",
    "bn": "depthwise_bn",
    "se_reduce": "squeeze_excite_conv",
    "se_expand": "squeeze_excite_conv_1",
    "project_conv": "project",
    "stem_conv": "conv",
    "stem_bn": "conv_bn",
    "top_conv": "conv_1",
    "top_bn": "conv_1_bn",
}


def _keras_v3_block(index: int, stage: int, number: int) -> str:
    return f"expanded_conv_{index}_" if index else "expanded_conv_"


TIMM_V2 = Scheme(
    "timm_mobilenetv2",
    "timm's names of a MobileNetV2",
    "blocks.0.0.conv_dw.weight",
    together(TIMM_STEM, TIMM_TOP, timm_blocks("0", SEPARABLE), timm_blocks("[1-6]", INVERTED)),
    {"mobilenetv2_torch": Member("MobileNetV2", *timm_marks(32, V2))},
    head="classifier",
)


def _timm_v3(size: str) -> Scheme:
    stages, last = V3[size], len(V3[size])
    ends = {
        "conv_stem": "stem_conv",
        "bn1": "stem_bn",
        f"blocks.{last}.0.conv": "top_conv",
        f"blocks.{last}.0.bn1": "top_bn",
    }
    network = f"MobileNetV3-{size.capitalize()}"
    marks = timm_marks(16, stages)
    return Scheme(
        f"timm_mobilenetv3_{size}",
        "timm's names of a MobileNetV3",
        "blocks.0.0.conv_dw.weight",
        together(
            rules_of_parts("", "", ends),
            timm_blocks("0", {**SEPARABLE, **SQUEEZE}),
            timm_blocks(f"[1-{last - 1}]", {**INVERTED, **SQUEEZE}),
            rules_of_parts("", "", ends, KERAS_V3),
            rules_in_sequence(stages, "blocks.{stage}.{number}.", timm_parts, _keras_v3_block, KERAS_V3),
        ),
        {
            f"mobilenetv3{size}": Member(
                f"{network} (timm's tf_mobilenetv3_{size}_100)", *marks, names=(f"tf_mobilenetv3_{size}_100",)
            ),
            f"mobilenetv3{size}_timm": Member(f"{network} (timm's mobilenetv3_{size}_100)", *marks),
        },
        ignored=BEHIND,
    )


_UNIVERSAL = {
    "dw_start.conv": "start_dwconv",
    "dw_start.bn": "start_bn",
    "pw_exp.conv": "expand_conv",
    "pw_exp.bn": "expand_bn",
    "dw_mid.conv": "dwconv",
    "dw_mid.bn": "bn",
    "pw_proj.conv": "project_conv",
    "pw_proj.bn": "project_bn",
}
_FUSED = {"conv_exp": "expand_conv", "bn1": "expand_bn", "conv_pwl": "project_conv", "bn2": "project_bn"}
_PLAIN = {"conv": "conv", "bn1": "bn"}


def _timm_v4(size: str, stem: int) -> Scheme:
    stages, last = V4[size], len(V4[size])
    final = stages[-1][-1]
    ends = {f"blocks.{last}.0.conv": "top_conv", f"blocks.{last}.0.bn1": "top_bn"}
    first = timm_blocks("[01]", _PLAIN) if size == "small" else timm_blocks("0", _FUSED)
    return Scheme(
        f"timm_mobilenetv4_{size}",
        "timm's names of a MobileNetV4",
        "blocks.2.0.dw_start.conv.weight",
        together(TIMM_STEM, rules_of_parts("", "", ends), first, timm_blocks(r"\d", _UNIVERSAL)),
        {
            f"mobilenetv4_conv_{size}": Member(
                f"MobileNetV4-Conv-{size[0].upper()}",
                {
                    "conv_stem.weight": (stem, 3, 3, 3),
                    f"blocks.3.{len(stages[3]) - 1}.pw_proj.conv.weight": (final.filters, final.expanded, 1, 1),
                },
                (f"blocks.3.{len(stages[3])}.pw_proj.conv.weight",),
            )
        },
        ignored=BEHIND,
    )


def _torchvision_v2_parts(block: Block) -> Mapping[str, str]:
    depthwise = 1 if block.expanded else 0
    expansion = {"0.0": "expand_conv", "0.1": "expand_bn"} if block.expanded else {}
    return expansion | {
        f"{depthwise}.0": "dwconv",
        f"{depthwise}.1": "bn",
        f"{depthwise + 1}": "project_conv",
        f"{depthwise + 2}": "project_bn",
    }


def _torchvision_v3_parts(block: Block) -> Mapping[str, str]:
    expansion = {"0.0": "expand_conv", "0.1": "expand_bn"} if block.expanded else {}
    depthwise = 1 if block.expanded else 0
    parts = expansion | {f"{depthwise}.0": "dwconv", f"{depthwise}.1": "bn"}
    if block.squeeze:
        parts |= {f"{depthwise + 1}.fc1": "se_reduce", f"{depthwise + 1}.fc2": "se_expand"}
    project = depthwise + (2 if block.squeeze else 1)
    return parts | {f"{project}.0": "project_conv", f"{project}.1": "project_bn"}


def _torchvision_ends(stages: Stages) -> tuple[Rule, ...]:
    last = len(positions(stages)) + 1
    parts = {"0.0": "stem_conv", "0.1": "stem_bn", f"{last}.0": "top_conv", f"{last}.1": "top_bn"}
    return rules_of_parts(r"features\.", "", parts)


TORCHVISION_V2 = Scheme(
    "torchvision_mobilenetv2",
    "torchvision's names of a MobileNetV2",
    "features.1.conv.0.0.weight",
    together(_torchvision_ends(V2), rules_in_sequence(V2, "features.{after}.conv.", _torchvision_v2_parts)),
    {
        "mobilenetv2_torch": Member(
            "MobileNetV2",
            {"features.0.0.weight": (32, 3, 3, 3), "features.17.conv.2.weight": (320, 960, 1, 1)},
            ("features.19.0.weight",),
        )
    },
    head="classifier.1",
)


def _torchvision_v3(size: str) -> Scheme:
    stages, channels = V3[size], V3_CHANNELS[size]
    last = len(positions(stages)) + 1
    return Scheme(
        f"torchvision_mobilenetv3_{size}",
        "torchvision's names of a MobileNetV3",
        "features.1.block.0.0.weight",
        together(
            _torchvision_ends(stages), rules_in_sequence(stages, "features.{after}.block.", _torchvision_v3_parts)
        ),
        {
            f"mobilenetv3{size}_torch": Member(
                f"MobileNetV3-{size.capitalize()}",
                {"features.0.0.weight": (16, 3, 3, 3), f"features.{last}.0.weight": (channels, channels // 6, 1, 1)},
            )
        },
        ignored={r"classifier\..*": BEHIND[next(iter(BEHIND))]},
    )


_HF_STEM = {
    "conv_stem.first_conv.convolution": "stem_conv",
    "conv_stem.first_conv.normalization": "stem_bn",
    "conv_1x1.convolution": "top_conv",
    "conv_1x1.normalization": "top_bn",
}
_HF_DEPTHWISE = {
    "conv_3x3.convolution": "dwconv",
    "conv_3x3.normalization": "bn",
    "reduce_1x1.convolution": "project_conv",
    "reduce_1x1.normalization": "project_bn",
}
_HF_INVERTED = {"expand_1x1.convolution": "expand_conv", "expand_1x1.normalization": "expand_bn", **_HF_DEPTHWISE}
HF_V2 = Scheme(
    "hf_mobilenetv2",
    "HF transformers' names of a MobileNetV2",
    "conv_stem.first_conv.convolution.weight",
    together(
        rules_of_parts("", "", _HF_STEM, KERAS_V2),
        rules_of_parts(r"conv_stem\.", "expanded_conv_", _HF_DEPTHWISE, KERAS_V2),
        rules_of_parts(r"layer\.(\d+)\.", "block_{0:+1}_", _HF_INVERTED, KERAS_V2),
    ),
    {
        "mobilenetv2": Member(
            "MobileNetV2",
            {
                "conv_stem.first_conv.convolution.weight": (32, 3, 3, 3),
                "layer.15.reduce_1x1.convolution.weight": (320, 960, 1, 1),
            },
            ("layer.16.reduce_1x1.convolution.weight",),
        )
    },
    head="classifier",
)

SCHEMES = (
    TIMM_V2,
    *(_timm_v3(size) for size in V3),
    *(_timm_v4(size, 24 if size == "large" else 32) for size in V4),
    TORCHVISION_V2,
    *(_torchvision_v3(size) for size in V3),
    HF_V2,
)
