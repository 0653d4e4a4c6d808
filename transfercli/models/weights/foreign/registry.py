"""Table of naming schemes."""

from __future__ import annotations

from transfercli.models.weights.foreign.scheme import Scheme
from transfercli.models.weights.foreign.schemes import resnet, vision_transformer

SCHEMES: tuple[Scheme, ...] = (*resnet.SCHEMES, *vision_transformer.SCHEMES)
