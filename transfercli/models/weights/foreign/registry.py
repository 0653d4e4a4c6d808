"""Table of naming schemes."""

from __future__ import annotations

from transfercli.models.weights.foreign.scheme import Scheme
from transfercli.models.weights.foreign.schemes import resnet

SCHEMES: tuple[Scheme, ...] = (*resnet.SCHEMES,)
