"""The spec of an artefact: labels, input and thresholds, as the JSON card stored with it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from transfercli.config.types import CLASSIFY, HEX_COLOUR, MULTILABEL, REGRESSION, Task
from transfercli.data.image import (
    CONVERT,
    EARLIER,
    IGNORE,
    LEVELS,
    MAX_MEGAPIXELS,
    MOST_MEGAPIXELS,
    NO_BACKGROUND,
    PROFILES,
    RESIZES,
    TAGS,
    Geometry,
)
from transfercli.errors import ArtefactError
from transfercli.io.bounded import parse_json

if TYPE_CHECKING:
    import keras

CARD = "transfercli"  # the card's key in a format's own metadata
CARD_FILE = f"{CARD}.json"
# Keys of a card; all others are its origin.
OWN_KEYS = (
    *("task", "labels", "input", "temperature", "calibration", "thresholds", "threshold"),
    *("abstain", "conformal", "unknown"),
)
MAX_SIDE, MAX_CLASSES = 8192, 100_000


@dataclass(frozen=True, slots=True)
class LabelDecisions:
    """Calibration and thresholds of a model that gives an image several labels; each has one number a label.

    scales, offsets: the calibrated logit is `logit * scale + offset`, computed inside the artefact. thresholds: values
    of float32; an image has the labels whose calibrated probability is at least their threshold. confidences:
    probability of the answer below which a label is unsure, None for one that always is; () if none ever is.
    """

    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    thresholds: tuple[float, ...]
    confidences: tuple[float | None, ...] = ()

    @classmethod
    def of(
        cls,
        scales: np.ndarray,
        offsets: np.ndarray,
        thresholds: np.ndarray,
        confidences: tuple[float | None, ...] = (),
    ) -> LabelDecisions:
        """Return the decisions of three arrays float [L], and of confidences.

        The thresholds are rounded to float32, the type of the probabilities that they are compared with.
        """
        rounded = thresholds.astype(np.float32).tolist()
        return cls(tuple(scales.tolist()), tuple(offsets.tolist()), tuple(rounded), confidences)

    @property
    def calibrated(self) -> int:
        """Number of labels whose logits calibration changes."""
        return sum(values != (1, 0) for values in zip(self.scales, self.offsets, strict=True))


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """Labels, input and thresholds of an artefact.

    labels: class names in index order, or the name of the number. image_size: (height, width) in pixels. resize:
    stretch, crop or pad. temperature: divisor of the logits, applied inside the artefact. confidence: threshold below
    which to abstain; None: always abstain. origin: further keys of the card, such as `run`, `data_fingerprint` and
    `weights_licence`. Specs that differ only in it are equal, because `export.json` has more such keys than the card
    inside the artefact. background: colour `#rrggbb` that transparent pixels are laid on, or `NO_BACKGROUND`. levels,
    profiles, max_megapixels: how files are read, as in `Geometry`. conformal: scores for prediction sets, as JSON; None
    in an artefact of an earlier version. unknown: {"score": name, "threshold": number} of the output `unknown`, above
    whose threshold an image is strange; None if the artefact has no such output. decisions: calibration and thresholds
    if an image may have several labels; None if it has exactly one. threshold: calibrated probability from which the
    second of two classes is answered, a number of float32; None for the most probable class. task: of the run.
    """

    labels: tuple[str, ...]
    image_size: tuple[int, int]
    resize: str = "stretch"
    temperature: float = 1.0
    confidence: float | None = 0.0
    origin: Mapping[str, str] = field(default_factory=dict, compare=False)
    background: str = NO_BACKGROUND
    levels: str = TAGS
    profiles: str = CONVERT
    max_megapixels: float = MAX_MEGAPIXELS
    conformal: Mapping[str, Any] | None = field(default=None, hash=False)
    unknown: Mapping[str, Any] | None = field(default=None, hash=False)
    decisions: LabelDecisions | None = None
    threshold: float | None = None
    task: Task = CLASSIFY

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """Threshold of each label, values of float32; None if an image has exactly one label."""
        return self.decisions.thresholds if self.decisions else None

    @property
    def columns(self) -> int:
        """Number of values per image that a reader returns: a probability per class, and the score if there is one."""
        return len(self.labels) + (self.unknown is not None)

    @property
    def geometry(self) -> Geometry:
        height, width = self.image_size
        return Geometry(height, width, self.resize, self.background, self.levels, self.profiles, self.max_megapixels)

    def card(self) -> dict[str, Any]:
        """Return the card as JSON values; it is the same for the same export."""
        height, width = self.image_size
        return {
            "task": self.task,
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
                "background": self.background,
                "levels": self.levels,
                "profiles": self.profiles,
                "max_megapixels": self.max_megapixels,
            },
            "temperature": self.temperature,
            **(_decisions_card(self.decisions) if self.decisions else {}),
            **({"threshold": self.threshold} if self.threshold is not None else {}),
            "abstain": {
                "confidence": self.confidence,
                **({"confidences": list(self.decisions.confidences)} if self.decisions else {}),
            },
            **({"conformal": dict(self.conformal)} if self.conformal else {}),
            "unknown": dict(self.unknown) if self.unknown else None,
            **self.origin,
        }


@dataclass(frozen=True, slots=True)
class Network:
    """Network of a run before its BatchNorm is folded, for formats that write the network of another library.

    base: name of a row of `BASES`. preprocessing: of its pixels, a row of `PREPROCESSING`. channels: of the base's
    input. pooling, hidden: of the head. plain: its linear layers read the base's pooled output as it is, and no other
    layer's. tensors: all weights, `base/LAYER/WEIGHT` and `head/LAYER/WEIGHT`, float32. task: of the run.
    """

    base: str
    preprocessing: str
    channels: int
    pooling: str
    hidden: tuple[int, ...]
    tensors: Mapping[str, np.ndarray]
    plain: bool = True
    task: Task = CLASSIFY


@dataclass(frozen=True, slots=True)
class WriteJob:
    """An artefact to write.

    predictor: uint8 [N, H, W, 3] -> float32 [N, C], or [that, float32 [N]] with the out-of-distribution score.
    path: the file, or the folder, to write. samples: uint8
    [M, H, W, 3], training images from which a quantiser measures value ranges; needed for int8 only.
    network: for formats that write the network of another library.
    """

    predictor: keras.Model
    spec: ExportSpec
    path: Path
    quantize: str = "none"
    samples: np.ndarray | None = None
    network: Network | None = None


class NeedsTensorFlow(Exception):
    """Raised by a writer that needs Keras to run on TensorFlow for this predictor, though not for every one."""


def _decisions_card(decisions: LabelDecisions) -> dict[str, Any]:
    calibration = {"scales": list(decisions.scales), "offsets": list(decisions.offsets)}
    return {"calibration": calibration, "thresholds": list(decisions.thresholds)}


def card_text(spec: ExportSpec) -> str:
    return json.dumps(spec.card(), sort_keys=True)


def parse_card(text: str | bytes) -> ExportSpec:
    """Parse the result of `card_text`. Raises `ArtefactError` if the card is damaged."""
    try:
        card = parse_json(text)
        geometry = card["input"]
        size = (geometry["height"], geometry["width"])
        confidence = card["abstain"]["confidence"]
        origin = {key: value for key, value in card.items() if key not in OWN_KEYS and isinstance(value, str)}
        spec = ExportSpec(
            tuple(card["labels"]),
            size,
            geometry["resize"],
            float(card["temperature"]),
            confidence,
            origin,
            # The defaults are what the decoder did before these keys.
            background=geometry.get("background", NO_BACKGROUND),
            levels=geometry.get("levels", EARLIER),
            profiles=geometry.get("profiles", IGNORE),
            max_megapixels=float(geometry.get("max_megapixels", MAX_MEGAPIXELS)),
            conformal=card.get("conformal"),
            unknown=card.get("unknown"),
            decisions=_decisions_of(card),
            threshold=card.get("threshold"),
            task=_task_of(card),
        )
        _check(spec)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtefactError(f"the artefact's card is damaged: {error}", "export the run again") from error
    return spec


def _task_of(card: Mapping[str, Any]) -> Task:
    task: Task = card.get("task", CLASSIFY)  # cards of earlier versions lack it
    if task not in get_args(Task):
        raise ValueError(f"task is {task!r}; allowed are {', '.join(get_args(Task))}")
    return task


def _decisions_of(card: Mapping[str, Any]) -> LabelDecisions | None:
    """Return the calibration and thresholds of a card; None if it is of one label an image. Raises `ValueError`."""
    if card.get("task") != MULTILABEL:
        return None
    calibration = card["calibration"]
    values = [calibration["scales"], calibration["offsets"], card["thresholds"]]
    for numbers in values:
        if not isinstance(numbers, list) or len(numbers) != len(card["labels"]):
            raise ValueError("calibration and thresholds must have one number a label")
        if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
            raise ValueError("calibration and thresholds must be finite numbers")
    confidences = tuple(card["abstain"].get("confidences") or ())
    if len(confidences) not in (0, len(card["labels"])) or not all(map(_is_confidence, confidences)):
        raise ValueError("the confidences must be one number or null a label")
    scales, offsets, thresholds = (tuple(map(float, numbers)) for numbers in values)
    return LabelDecisions(scales, offsets, thresholds, confidences)


def _is_confidence(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value <= 1)


def _check(spec: ExportSpec) -> None:
    fewest, most = (1, 1) if spec.task == REGRESSION else (2, MAX_CLASSES)
    if not fewest <= len(spec.labels) <= most or not all(isinstance(label, str) for label in spec.labels):
        raise ValueError("labels must be a list of class names")
    if not all(type(side) is int and 1 <= side <= MAX_SIDE for side in spec.image_size):
        raise ValueError(f"the input size is {list(spec.image_size)}; each side must be from 1 to {MAX_SIDE}")
    if spec.resize not in RESIZES:
        raise ValueError(f"resize is {spec.resize!r}; allowed are {', '.join(RESIZES)}")
    if spec.background != NO_BACKGROUND and not HEX_COLOUR.fullmatch(spec.background):
        raise ValueError(f"background is {spec.background!r}; allowed are #rrggbb and {NO_BACKGROUND}")
    if spec.levels not in LEVELS or spec.profiles not in PROFILES:
        raise ValueError(f"levels are {spec.levels!r} and profiles {spec.profiles!r}")
    if not 0 < spec.max_megapixels <= MOST_MEGAPIXELS:
        raise ValueError(f"max_megapixels is {spec.max_megapixels}")
    if not (math.isfinite(spec.temperature) and spec.temperature > 0):
        raise ValueError(f"temperature is {spec.temperature}")
    if not isinstance(spec.conformal, Mapping | None):
        raise ValueError("conformal must be the scores of validation images")
    if spec.unknown is not None and not (
        isinstance(spec.unknown, Mapping)
        and type(spec.unknown.get("threshold")) in (int, float)
        and math.isfinite(spec.unknown["threshold"])
    ):
        raise ValueError("unknown must have the threshold of the out-of-distribution score")
    if spec.threshold is not None and (len(spec.labels) != 2 or not _is_confidence(spec.threshold)):
        raise ValueError(f"threshold is {spec.threshold!r}, of {len(spec.labels)} classes")
    if not _is_confidence(spec.confidence):
        raise ValueError(f"confidence is {spec.confidence!r}")
