"""The table of bases. A row says how a base is built, what pixels it expects and how its layers group into stages.

Importing this module costs nothing: a row names its builder, and Keras is imported when it is called.
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
    """One network without its classification top.

    builder: `module:function`, called with `weights`, `include_top=False`, `input_shape` (height, width, channels).
    size: the side in pixels of the published network; preprocessing: a row of `models/preprocessing.py`.
    stages: a regular expression whose first group, found in a layer's name, is that layer's stage.
    closes: such a layer ends its stage (an Inception module's concatenation) instead of opening it.
    has_imagenet: whether Keras publishes ImageNet weights for it, and `licence`, that of these weights.
    """

    builder: str
    size: int
    preprocessing: str
    stages: str
    minimum: int = 32
    closes: bool = False
    has_imagenet: bool = True
    source: str = "keras.applications"
    licence: str = "ImageNet weights of keras.applications (Apache-2.0)"

    @property
    def licence_id(self) -> str:
        """What the Hugging Face Hub calls the licence: the name in brackets at its end, as in `cc-by-4.0`."""
        return self.licence.rpartition("(")[2].rstrip(")").lower().replace(" ", "-")

    def build(self, shape: Shape, weights: str | None = None) -> keras.Model:
        """The network for images of `shape` (height, width, channels), with random or ImageNet weights."""
        module, function = self.builder.split(":")
        builder: Any = getattr(import_module(module), function)
        return builder(weights=weights, include_top=False, input_shape=shape)


def _apps(names: str, size: int, preprocessing: str, stages: str, **more: Any) -> dict[str, Base]:
    """Rows for builders of `keras.applications`; a builder's name in lower case names its row."""
    return {
        name.lower(): Base(f"keras.applications:{name}", size, preprocessing, stages, **more) for name in names.split()
    }


# As the documentation of keras.applications had them until 2020, and the weights' own repositories have them still.
_VGG = "ImageNet weights of the Visual Geometry Group, Oxford (CC BY 4.0)"
_HE = "ImageNet weights of He et al. (MIT)"
_HUANG = "ImageNet weights of Huang et al. (BSD-3-Clause)"
_CHOLLET = "ImageNet weights of Chollet (MIT)"
_LIU = "ImageNet weights of facebookresearch/ConvNeXt (MIT)"
_OWN = "transfercli.models.networks"
_BLOCK = r"^(block\d+)"
_CONV = r"^(conv\d)"
_EFFICIENT = {"B0": 224, "B1": 240, "B2": 260, "B3": 300, "B4": 380, "B5": 456, "B6": 528, "B7": 600}
_EFFICIENT_V2 = {"B0": 224, "B1": 240, "B2": 260, "B3": 300, "S": 384, "M": 480, "L": 480}

BASES: dict[str, Base] = {
    **_apps("VGG16", 224, "caffe", _BLOCK, licence=_VGG),
    **_apps("ResNet50", 224, "caffe", _CONV, licence=_HE),
    "resnet18": Base(f"{_OWN}:resnet18", 224, "torch", _CONV, has_imagenet=False, source="He et al. 2016"),
    "small_cnn": Base(
        f"{_OWN}:small_cnn", 32, "unit", _CONV, minimum=18, has_imagenet=False, source="CIFAR-10 tutorials"
    ),
    **_apps("VGG19", 224, "caffe", _BLOCK, licence=_VGG),
    **_apps("ResNet101 ResNet152", 224, "caffe", _CONV, licence=_HE),
    **_apps("ResNet50V2 ResNet101V2 ResNet152V2", 224, "symmetric", _CONV),
    **_apps("DenseNet121 DenseNet169 DenseNet201", 224, "torch", _CONV, licence=_HUANG),
    **_apps("InceptionV3", 299, "symmetric", r"^(mixed\d+)$", minimum=75, closes=True),
    **_apps("InceptionResNetV2", 299, "symmetric", r"^(mixed_\w+)$", minimum=75, closes=True),
    **_apps("Xception", 299, "symmetric", _BLOCK, minimum=71, licence=_CHOLLET),
    **_apps("MobileNet", 224, "symmetric", r"^(conv_dw_\d+)$"),
    **_apps("MobileNetV2", 224, "symmetric", r"^(block_\d+)"),
    **_apps("MobileNetV3Small MobileNetV3Large", 224, "included", r"^(expanded_conv(?:_\d+)?)_"),
    **{k: v for b, size in _EFFICIENT.items() for k, v in _apps(f"EfficientNet{b}", size, "included", _BLOCK).items()},
    **{
        k: v
        for b, size in _EFFICIENT_V2.items()
        for k, v in _apps(f"EfficientNetV2{b}", size, "included", _BLOCK).items()
    },
    **_apps("NASNetMobile", 224, "symmetric", r"^((?:normal|reduction)_concat_\w+)$", closes=True),
    **_apps("NASNetLarge", 331, "symmetric", r"^((?:normal|reduction)_concat_\w+)$", closes=True),
    **_apps(
        "ConvNeXtTiny ConvNeXtSmall ConvNeXtBase ConvNeXtLarge ConvNeXtXLarge",
        224,
        "included",
        r"_(stage_\d)_",
        licence=_LIU,
    ),
}


def stages_of(base: Base, layers: list[str]) -> dict[str, list[str]]:
    """Group a base's layers, given in the order data meets them, into its stages.

    Layers before the first stage join it, a layer without a match joins the stage it lies in or follows, so the
    stages partition the network and each is one contiguous piece.
    """
    stages: dict[str, list[str]] = {}
    waiting: list[str] = []
    for name in layers:
        waiting.append(name)
        found = re.search(base.stages, name)
        if not found or found.group(1) in stages:
            continue
        if not base.closes and stages:
            stages[next(reversed(stages))].extend(waiting[:-1])
            waiting = waiting[-1:]
        stages[found.group(1)] = waiting
        waiting = []
    if stages:
        stages[next(reversed(stages))].extend(waiting)
    return stages
