"""Table of naming schemes."""

from __future__ import annotations

from transfercli.models.weights.foreign.scheme import Scheme
from transfercli.models.weights.foreign.schemes import efficientnet, mobilenet, resnet

SCHEMES: tuple[Scheme, ...] = (*resnet.SCHEMES, *efficientnet.SCHEMES, *mobilenet.SCHEMES)
