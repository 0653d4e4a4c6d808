"""What an artefact must know beside its weights: its card, which travels inside it where the format has a place."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.data.image import RESIZES, Geometry
from transfercli.errors import ArtefactError

if TYPE_CHECKING:
    import keras

CARD = "transfercli"  # the card's name in a format's own metadata
CARD_FILE = f"{CARD}.json"
EXPORTED = "export.json"  # beside an artefact: how its export went
MAX_SIDE, MAX_CLASSES = 8192, 100_000


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """labels: class names in index order. image_size: (height, width) in pixels. resize: stretch, crop or pad.

    temperature: logits were divided by it, inside the artefact. confidence: the least that is believed; None where no
    confidence is. origin: what else a card tells, such as `run`, `data_fingerprint` and `weights_licence`.
    """

    labels: tuple[str, ...]
    image_size: tuple[int, int]
    resize: str = "stretch"
    temperature: float = 1.0
    confidence: float | None = 0.0
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def geometry(self) -> Geometry:
        return Geometry(*self.image_size, self.resize)

    def card(self) -> dict[str, Any]:
        """What a caller must know, as JSON has it; the same export gives the same card."""
        height, width = self.image_size
        return {
            "labels": list(self.labels),
            "input": {
                "height": height,
                "width": width,
                "dtype": "uint8",
                "range": [0, 255],
                "channels": "RGB",
                "layout": "NHWC",
                "scaling": "inside the artefact",
                "resize": self.resize,
            },
            "temperature": self.temperature,
            "abstain": {"confidence": self.confidence},
            **self.origin,
        }


@dataclass(frozen=True, slots=True)
class WriteJob:
    """One artefact to be written.

    predictor: uint8 [N, H, W, 3] -> float32 [N, C]. path: its file, or its folder. samples: uint8 [M, H, W, 3],
    training images that show a quantiser which values occur; needed for int8 only.
    """

    predictor: keras.Model
    spec: ExportSpec
    path: Path
    quantize: str = "none"
    samples: np.ndarray | None = None


def card_text(spec: ExportSpec) -> str:
    return json.dumps(spec.card(), sort_keys=True)


def parse_card(text: str | bytes) -> ExportSpec:
    """The inverse of `card_text`; raises `ArtefactError` where a card from elsewhere is damaged."""
    try:
        card = json.loads(text)
        side = card["input"]
        size = (side["height"], side["width"])
        confidence = card["abstain"]["confidence"]
        spec = ExportSpec(tuple(card["labels"]), size, side["resize"], float(card["temperature"]), confidence)
        _check(spec)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtefactError(f"the artefact's card is damaged: {error}", "export the run again") from error
    return spec


def _check(spec: ExportSpec) -> None:
    if not 2 <= len(spec.labels) <= MAX_CLASSES or not all(isinstance(label, str) for label in spec.labels):
        raise ValueError("labels must be a list of class names")
    if not all(type(side) is int and 1 <= side <= MAX_SIDE for side in spec.image_size):
        raise ValueError(f"the input size {list(spec.image_size)} is none")
    if spec.resize not in RESIZES:
        raise ValueError(f"resize is {spec.resize!r}; allowed are {', '.join(RESIZES)}")
    if not (math.isfinite(spec.temperature) and spec.temperature > 0):
        raise ValueError(f"temperature is {spec.temperature}")
    if spec.confidence is not None and not (type(spec.confidence) in (int, float) and 0 <= spec.confidence <= 1):
        raise ValueError(f"confidence is {spec.confidence!r}")
