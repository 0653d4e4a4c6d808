"""Table of bases. A row holds the builder of a base, the pixels it expects and how its layers group into stages.

Importing this module is cheap: a row names its builder, and Keras is imported when the builder is called.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Base:
    """Row of the table: a network without its classification top.

    builder: `module:function`, called with `weights`, `include_top=False`, `input_shape` (height, width, channels).
    size: height and width, in pixels, of the images of the published network; minimum: the smallest that work.
    preprocessing: a row of `models/preprocessing.py`.
    stages: a regular expression; its first group, matched in a layer's name, is the name of that layer's stage.
    ends_stage: a matching layer is the last of its stage (an Inception module's concatenation), not the first.
    has_imagenet: Keras publishes ImageNet weights for it; licence: the licence of these weights.
    any_size_imagenet: Keras loads them at every image size, not only at `size`.
    variance_factor: factor of each channel's variance of the base's Normalization layer in these weights
    (`models/normalization.py`); empty if they are right as they are.
    """

    builder: str
    size: int
    preprocessing: str
    stages: str
    minimum: int = 32
    ends_stage: bool = False
    has_imagenet: bool = True
    any_size_imagenet: bool = True
    variance_factor: tuple[float, ...] = ()
    source: str = "keras.applications"
    licence: str = "ImageNet weights of keras.applications (Apache-2.0)"

    @property
    def licence_id(self) -> str:
        """The licence's identifier on the Hugging Face Hub, such as `cc-by-4.0`: the name in brackets at its end."""
        return self.licence.rpartition("(")[2].rstrip(")").lower().replace(" ", "-")

    def build(self, shape: Shape, weights: str | None = None) -> keras.Model:
        """Build the network for images of `shape` (height, width, channels), with random or ImageNet weights."""
        module, function = self.builder.split(":")
        builder: Any = getattr(import_module(module), function)
        return builder(weights=weights, include_top=False, input_shape=shape)


def _keras_bases(names: str, size: int, preprocessing: str, stages: str, **fields: Any) -> dict[str, Base]:
    """Return rows for builders of `keras.applications`; the key of a row is its builder's name in lower case."""
    return {
        name.lower(): Base(f"keras.applications:{name}", size, preprocessing, stages, **fields)
        for name in names.split()
    }


# As given in the documentation of keras.applications until 2020, and in the repositories of the weights.
_VGG_LICENCE = "ImageNet weights of the Visual Geometry Group, Oxford (CC BY 4.0)"
_RESNET_LICENCE = "ImageNet weights of He et al. (MIT)"
_DENSENET_LICENCE = "ImageNet weights of Huang et al. (BSD-3-Clause)"
_XCEPTION_LICENCE = "ImageNet weights of Chollet (MIT)"
_CONVNEXT_LICENCE = "ImageNet weights of facebookresearch/ConvNeXt (MIT)"
_NETWORKS = "transfercli.models.networks"
_BLOCK_STAGES = r"^(block\d+)"
_CONV_STAGES = r"^(conv\d)"
_NASNET_STAGES = r"^((?:normal|reduction)_concat_\w+)$"
_IMAGENET_STD = (0.229, 0.224, 0.225)  # of red, green and blue, for pixels of 0 to 1
_EFFICIENTNET_SIZES = {"B0": 224, "B1": 240, "B2": 260, "B3": 300, "B4": 380, "B5": 456, "B6": 528, "B7": 600}
_EFFICIENTNET_V2_SIZES = {"B0": 224, "B1": 240, "B2": 260, "B3": 300, "S": 384, "M": 480, "L": 480}

BASES: dict[str, Base] = {
    **_keras_bases("VGG16", 224, "caffe", _BLOCK_STAGES, licence=_VGG_LICENCE),
    **_keras_bases("ResNet50", 224, "caffe", _CONV_STAGES, licence=_RESNET_LICENCE),
    "resnet18": Base(f"{_NETWORKS}:resnet18", 224, "torch", _CONV_STAGES, has_imagenet=False, source="He et al. 2016"),
    "small_cnn": Base(
        f"{_NETWORKS}:small_cnn", 32, "unit", _CONV_STAGES, minimum=18, has_imagenet=False, source="CIFAR-10 tutorials"
    ),
    **_keras_bases("VGG19", 224, "caffe", _BLOCK_STAGES, licence=_VGG_LICENCE),
    **_keras_bases("ResNet101 ResNet152", 224, "caffe", _CONV_STAGES, licence=_RESNET_LICENCE),
    **_keras_bases("ResNet50V2 ResNet101V2 ResNet152V2", 224, "symmetric", _CONV_STAGES),
    **_keras_bases("DenseNet121 DenseNet169 DenseNet201", 224, "torch", _CONV_STAGES, licence=_DENSENET_LICENCE),
    **_keras_bases("InceptionV3", 299, "symmetric", r"^(mixed\d+)$", minimum=75, ends_stage=True),
    **_keras_bases("InceptionResNetV2", 299, "symmetric", r"^(mixed_\w+)$", minimum=75, ends_stage=True),
    **_keras_bases("Xception", 299, "symmetric", _BLOCK_STAGES, minimum=71, licence=_XCEPTION_LICENCE),
    **_keras_bases("MobileNet", 224, "symmetric", r"^(conv_dw_\d+)$"),
    **_keras_bases("MobileNetV2", 224, "symmetric", r"^(block_\d+)"),
    **_keras_bases("MobileNetV3Small MobileNetV3Large", 224, "included", r"^(expanded_conv(?:_\d+)?)_"),
    **{
        k: v
        for b, size in _EFFICIENTNET_SIZES.items()
        for k, v in _keras_bases(
            f"EfficientNet{b}", size, "included", _BLOCK_STAGES, variance_factor=_IMAGENET_STD
        ).items()
    },
    **{
        k: v
        for b, size in _EFFICIENTNET_V2_SIZES.items()
        for k, v in _keras_bases(f"EfficientNetV2{b}", size, "included", _BLOCK_STAGES).items()
    },
    **_keras_bases("NASNetMobile", 224, "symmetric", _NASNET_STAGES, ends_stage=True, any_size_imagenet=False),
    **_keras_bases("NASNetLarge", 331, "symmetric", _NASNET_STAGES, ends_stage=True, any_size_imagenet=False),
    **_keras_bases(
        "ConvNeXtTiny ConvNeXtSmall ConvNeXtBase ConvNeXtLarge ConvNeXtXLarge",
        224,
        "included",
        r"_(stage_\d)_",
        licence=_CONVNEXT_LICENCE,
    ),
}


def stages_of(base: Base, layers: list[str]) -> dict[str, list[str]]:
    """Group a base's layers, given from the input to the top, into its stages: stage name -> layer names.

    Layers before the first stage belong to it; a layer without a match belongs to the stage around or before it. So
    every layer is in exactly one stage, and each stage is contiguous.
    """
    stages: dict[str, list[str]] = {}
    pending: list[str] = []
    for name in layers:
        pending.append(name)
        match = re.search(base.stages, name)
        if not match or match.group(1) in stages:
            continue
        if not base.ends_stage and stages:
            stages[next(reversed(stages))].extend(pending[:-1])
            pending = pending[-1:]
        stages[match.group(1)] = pending
        pending = []
    if stages:
        stages[next(reversed(stages))].extend(pending)
    return stages
