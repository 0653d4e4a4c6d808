"""EfficientNets: the names of timm, torchvision, HF transformers and efficientnet-pytorch.

TensorFlow's networks and those of PyTorch have the same names and shapes in timm, so the names alone do not choose.
"""

from __future__ import annotations

from collections.abc import Mapping

from transfercli.models.base_rows.efficientnet import FACTORS, LITE_FACTORS
from transfercli.models.networks.mobile_blocks import Block, Stages, efficientnet, rounded
from transfercli.models.weights.foreign.rules import together
from transfercli.models.weights.foreign.scheme import Member, Scheme, Shape
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
)

LITE = [efficientnet(width, depth, lite=True) for width, depth, _ in LITE_FACTORS]
NETWORKS = [efficientnet(width, depth) for width, depth, _ in FACTORS]
STEMS = [rounded(32 * width) for width, _, _ in FACTORS]
# Keras's EfficientNets normalise pixels of 0 to 1 themselves; other libraries do it before the network.
NORMALIZATION: dict[str, tuple[float, ...]] = {
    "normalization/mean": (0.485, 0.456, 0.406),
    "normalization/variance": (0.229**2, 0.224**2, 0.225**2),
    "normalization/count": (0,),
}


def _timm_members() -> dict[str, Member]:
    members = {}
    for number, stages in enumerate(LITE):
        marks = timm_marks(32, stages)
        network = f"EfficientNet-Lite{number}"
        members[f"efficientnet_lite{number}_timm"] = Member(f"{network} (timm's tf_efficientnet_lite{number})", *marks)
        members[f"efficientnet_lite{number}"] = Member(f"{network} (the same with the pixels of TensorFlow)", *marks)
    members["efficientnet_lite0_torch"] = Member(
        "EfficientNet-Lite0 (timm's efficientnet_lite0)", *timm_marks(32, LITE[0])
    )
    for number, (stem, stages) in enumerate(zip(STEMS, NETWORKS, strict=True)):
        marks = timm_marks(stem, stages)
        own = f"efficientnetb{number}_{'torch' if number < 5 else 'timm'}"
        network = f"EfficientNet-B{number}"
        members[f"efficientnetb{number}"] = Member(
            f"{network} (timm's tf_efficientnet_b{number})", *marks, NORMALIZATION, (f"tf_efficientnet_b{number}",)
        )
        members[own] = Member(f"{network} (timm's efficientnet_b{number})", *marks, names=(f"efficientnet_b{number}",))
    return members


TIMM = Scheme(
    "timm_efficientnet",
    "timm's names of an EfficientNet",
    "blocks.0.0.conv_dw.weight",
    together(
        TIMM_STEM,
        TIMM_TOP,
        timm_blocks("0", {**SEPARABLE, **SQUEEZE}),
        timm_blocks("[1-6]", {**INVERTED, **SQUEEZE}),
    ),
    _timm_members(),
    head="classifier",
)


def _last_project(name: str, stages: Stages) -> dict[str, Shape]:
    """Return the shape of the last projection, by its name."""
    last = stages[-1][-1]
    return {name: (last.filters, last.expanded, 1, 1)}


# A convolution and its BatchNorm are one module in torchvision.
_TORCHVISION_SEPARABLE = {
    "0.0": "dwconv",
    "0.1": "bn",
    "1.fc1": "se_reduce",
    "1.fc2": "se_expand",
    "2.0": "project_conv",
    "2.1": "project_bn",
}
_TORCHVISION_INVERTED = {
    "0.0": "expand_conv",
    "0.1": "expand_bn",
    "1.0": "dwconv",
    "1.1": "bn",
    "2.fc1": "se_reduce",
    "2.fc2": "se_expand",
    "3.0": "project_conv",
    "3.1": "project_bn",
}


def _torchvision_member(number: int) -> Member:
    stages = NETWORKS[number]
    fifth, count = stages[5][-1], len(stages[5])
    return Member(
        f"EfficientNet-B{number}",
        {
            "features.0.0.weight": (STEMS[number], 3, 3, 3),
            f"features.6.{count - 1}.block.3.0.weight": (fifth.filters, fifth.expanded, 1, 1),
        },
        (f"features.6.{count}.block.3.0.weight", f"features.7.{len(stages[6])}.block.3.0.weight"),
    )


TORCHVISION = Scheme(
    "torchvision_efficientnet",
    "torchvision's names of an EfficientNet",
    "features.1.0.block.1.fc1.weight",
    together(
        rules_of_parts("features\\.", "", {"0.0": "stem_conv", "0.1": "stem_bn", "8.0": "top_conv", "8.1": "top_bn"}),
        rules_of_parts(r"features\.(1)\.(\d+)\.block\.", "block{0}{1:a}_", _TORCHVISION_SEPARABLE),
        rules_of_parts(r"features\.([2-7])\.(\d+)\.block\.", "block{0}{1:a}_", _TORCHVISION_INVERTED),
    ),
    {f"efficientnetb{number}_torch": _torchvision_member(number) for number in range(len(NETWORKS))},
    head="classifier.1",
)

_HF_ENDS = {
    "embeddings.convolution": "stem_conv",
    "embeddings.batchnorm": "stem_bn",
    "encoder.top_conv": "top_conv",
    "encoder.top_bn": "top_bn",
}


def _hf_parts(block: Block) -> Mapping[str, str]:
    expansion = {"expansion.expand_conv": "expand_conv", "expansion.expand_bn": "expand_bn"} if block.expanded else {}
    return expansion | {
        "depthwise_conv.depthwise_conv": "dwconv",
        "depthwise_conv.depthwise_norm": "bn",
        "squeeze_excite.reduce": "se_reduce",
        "squeeze_excite.expand": "se_expand",
        "projection.project_conv": "project_conv",
        "projection.project_bn": "project_bn",
    }


def _hf(number: int) -> Scheme:
    stages = NETWORKS[number]
    count = len(positions(stages))
    return Scheme(
        f"hf_efficientnet_b{number}",
        "HF transformers' names of an EfficientNet",
        "embeddings.convolution.weight",
        together(rules_of_parts("", "", _HF_ENDS), rules_in_sequence(stages, "encoder.blocks.{index}.", _hf_parts)),
        {
            f"efficientnetb{number}": Member(
                f"EfficientNet-B{number}",
                {"embeddings.convolution.weight": (STEMS[number], 3, 3, 3)}
                | _last_project(f"encoder.blocks.{count - 1}.projection.project_conv.weight", stages),
                (f"encoder.blocks.{count}.projection.project_conv.weight",),
                NORMALIZATION,
            )
        },
        head="classifier",
    )


def _sequence_parts(block: Block) -> Mapping[str, str]:
    """Return the parts of a block in the names of efficientnet-pytorch (L. Melas-Kyriazi)."""
    expansion = {"_expand_conv": "expand_conv", "_bn0": "expand_bn"} if block.expanded else {}
    squeeze = {"_se_reduce": "se_reduce", "_se_expand": "se_expand"} if block.squeeze else {}
    return expansion | {
        "_depthwise_conv": "dwconv",
        "_bn1": "bn",
        "_project_conv": "project_conv",
        "_bn2": "project_bn",
        **squeeze,
    }


_SEQUENCE_ENDS = {"_conv_stem": "stem_conv", "_bn0": "stem_bn", "_conv_head": "top_conv", "_bn1": "top_bn"}


def _in_sequence(
    base: str, network: str, stem: int, stages: Stages, constants: Mapping[str, tuple[float, ...]]
) -> Scheme:
    """Return the scheme of efficientnet-pytorch for one base: TensorFlow's weights and padding."""
    count = len(positions(stages))
    squeeze: dict[str, Shape] = {"_blocks.0._se_reduce.weight": (stages[0][0].squeeze, stem, 1, 1)}
    squeezes = bool(stages[0][0].squeeze)
    return Scheme(
        f"{base}_in_sequence",
        "efficientnet-pytorch's names of an EfficientNet",
        "_blocks.0._depthwise_conv.weight",
        together(
            rules_of_parts("", "", _SEQUENCE_ENDS), rules_in_sequence(stages, "_blocks.{index}.", _sequence_parts)
        ),
        {
            base: Member(
                network,
                {"_conv_stem.weight": (stem, 3, 3, 3)}
                | _last_project(f"_blocks.{count - 1}._project_conv.weight", stages)
                | (squeeze if squeezes else {}),
                (f"_blocks.{count}._project_conv.weight", *(() if squeezes else squeeze)),
                constants,
            )
        },
        head="_fc",
    )


SCHEMES = (
    TIMM,
    TORCHVISION,
    *(_hf(number) for number in range(len(NETWORKS))),
    *(
        _in_sequence(f"efficientnet_lite{number}", f"EfficientNet-Lite{number}", 32, stages, {})
        for number, stages in enumerate(LITE)
    ),
    *(
        _in_sequence(f"efficientnetb{number}", f"EfficientNet-B{number}", STEMS[number], stages, NORMALIZATION)
        for number, stages in enumerate(NETWORKS)
    ),
)
