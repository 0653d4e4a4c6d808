"""Table of naming schemes."""

from __future__ import annotations

from transfercli.models.weights.foreign.scheme import Scheme
from transfercli.models.weights.foreign.schemes import (
    convnext,
    densenet,
    efficientnet,
    mobilenet,
    resnet,
    vgg,
    vision_transformer,
)

SCHEMES: tuple[Scheme, ...] = (
    *resnet.SCHEMES,
    *vgg.SCHEMES,
    *densenet.SCHEMES,
    *efficientnet.SCHEMES,
    *mobilenet.SCHEMES,
    *vision_transformer.SCHEMES,
    *convnext.SCHEMES,
)
