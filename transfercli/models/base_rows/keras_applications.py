"""Bases of keras.applications."""

from __future__ import annotations

from typing import Any

from transfercli.models.base import Base
from transfercli.models.published_weights import PUBLISHED_WEIGHTS


def _keras_bases(
    family: str, parameters: dict[str, int], size: int, preprocessing: str, stages: str, **fields: Any
) -> dict[str, Base]:
    """Return rows for builders of `keras.applications`; the key of a row is its builder's name in lower case.

    parameters: name of a builder -> number of weights of its network.
    """
    return {
        name.lower(): Base(
            f"keras.applications:{name}",
            size,
            preprocessing,
            stages,
            count,
            family,
            published=PUBLISHED_WEIGHTS[name.lower()],
            **fields,
        )
        for name, count in parameters.items()
    }


# As given in the documentation of keras.applications until 2020, and in the repositories of the weights.
_VGG_LICENCE = "ImageNet weights of the Visual Geometry Group, Oxford (CC BY 4.0)"
_RESNET_LICENCE = "ImageNet weights of He et al. (MIT)"
_DENSENET_LICENCE = "ImageNet weights of Huang et al. (BSD-3-Clause)"
_XCEPTION_LICENCE = "ImageNet weights of Chollet (MIT)"
_CONVNEXT_LICENCE = "ImageNet weights of facebookresearch/ConvNeXt (MIT)"
_BLOCK_STAGES = r"^(block\d+)"
_CONV_STAGES = r"^(conv\d)"
_NASNET_STAGES = r"^((?:normal|reduction)_concat_\w+)$"
_IMAGENET_STD = (0.229, 0.224, 0.225)  # of red, green and blue, for pixels of 0 to 1
# Name of the builder: image size in pixels, number of weights.
_EFFICIENTNETS = {
    "EfficientNetB0": (224, 4_049_571),
    "EfficientNetB1": (240, 6_575_239),
    "EfficientNetB2": (260, 7_768_569),
    "EfficientNetB3": (300, 10_783_535),
    "EfficientNetB4": (380, 17_673_823),
    "EfficientNetB5": (456, 28_513_527),
    "EfficientNetB6": (528, 40_960_143),
    "EfficientNetB7": (600, 64_097_687),
}
_EFFICIENTNETS_V2 = {
    "EfficientNetV2B0": (224, 5_919_312),
    "EfficientNetV2B1": (240, 6_931_124),
    "EfficientNetV2B2": (260, 8_769_374),
    "EfficientNetV2B3": (300, 12_930_622),
    "EfficientNetV2S": (384, 20_331_360),
    "EfficientNetV2M": (480, 53_150_388),
    "EfficientNetV2L": (480, 117_746_848),
}

FIRST: dict[str, Base] = {
    **_keras_bases("VGG", {"VGG16": 14_714_688}, 224, "caffe", _BLOCK_STAGES, licence=_VGG_LICENCE),
    **_keras_bases("ResNet", {"ResNet50": 23_587_712}, 224, "caffe", _CONV_STAGES, licence=_RESNET_LICENCE),
}

ROWS: dict[str, Base] = {
    **_keras_bases("VGG", {"VGG19": 20_024_384}, 224, "caffe", _BLOCK_STAGES, licence=_VGG_LICENCE),
    **_keras_bases(
        "ResNet",
        {"ResNet101": 42_658_176, "ResNet152": 58_370_944},
        224,
        "caffe",
        _CONV_STAGES,
        licence=_RESNET_LICENCE,
    ),
    **_keras_bases(
        "ResNetV2",
        {"ResNet50V2": 23_564_800, "ResNet101V2": 42_626_560, "ResNet152V2": 58_331_648},
        224,
        "symmetric",
        _CONV_STAGES,
    ),
    **_keras_bases(
        "DenseNet",
        {"DenseNet121": 7_037_504, "DenseNet169": 12_642_880, "DenseNet201": 18_321_984},
        224,
        "torch",
        _CONV_STAGES,
        licence=_DENSENET_LICENCE,
    ),
    **_keras_bases(
        "Inception", {"InceptionV3": 21_802_784}, 299, "symmetric", r"^(mixed\d+)$", minimum=75, ends_stage=True
    ),
    **_keras_bases(
        "Inception", {"InceptionResNetV2": 54_336_736}, 299, "symmetric", r"^(mixed_\w+)$", minimum=75, ends_stage=True
    ),
    **_keras_bases(
        "Xception", {"Xception": 20_861_480}, 299, "symmetric", _BLOCK_STAGES, minimum=71, licence=_XCEPTION_LICENCE
    ),
    **_keras_bases("MobileNet", {"MobileNet": 3_228_864}, 224, "symmetric", r"^(conv_dw_\d+)$"),
    **_keras_bases("MobileNetV2", {"MobileNetV2": 2_257_984}, 224, "symmetric", r"^(block_\d+)"),
    **_keras_bases(
        "MobileNetV3",
        {"MobileNetV3Small": 939_120, "MobileNetV3Large": 2_996_352},
        224,
        "included",
        r"^(expanded_conv(?:_\d+)?)_",
    ),
    **{
        key: row
        for name, (size, count) in _EFFICIENTNETS.items()
        for key, row in _keras_bases(
            "EfficientNet", {name: count}, size, "included", _BLOCK_STAGES, variance_factor=_IMAGENET_STD
        ).items()
    },
    **{
        key: row
        for name, (size, count) in _EFFICIENTNETS_V2.items()
        for key, row in _keras_bases("EfficientNetV2", {name: count}, size, "included", _BLOCK_STAGES).items()
    },
    **_keras_bases(
        "NASNet",
        {"NASNetMobile": 4_269_716},
        224,
        "symmetric",
        _NASNET_STAGES,
        ends_stage=True,
        any_size_imagenet=False,
    ),
    **_keras_bases(
        "NASNet",
        {"NASNetLarge": 84_916_818},
        331,
        "symmetric",
        _NASNET_STAGES,
        ends_stage=True,
        any_size_imagenet=False,
    ),
    **_keras_bases(
        "ConvNeXt",
        {
            "ConvNeXtTiny": 27_820_128,
            "ConvNeXtSmall": 49_454_688,
            "ConvNeXtBase": 87_566_464,
            "ConvNeXtLarge": 196_230_336,
            "ConvNeXtXLarge": 348_147_968,
        },
        224,
        "included",
        r"_(stage_\d)_",
        licence=_CONVNEXT_LICENCE,
    ),
}
