"""The content of a model card: typed parts of a run's JSON files.

A run may be untrusted. `validated` turns JSON values into these classes, or reports the damaged file and key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from transfercli.errors import ArtefactError
from transfercli.export.spec import ExportSpec
from transfercli.io.bounded import RESTORE_HINT
from transfercli.runs.untrusted import problem_of

T = TypeVar("T")
Numbers = dict[str, float | None]
Intervals = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class ClassRow:
    """The metrics of one class or label in an evaluation; None if a value is not defined.

    unknown, ap, auroc, threshold: only of a label
    """

    label: str
    support: int
    recall: float | None
    precision: float | None
    f1: float | None
    unknown: int = 0
    ap: float | None = None
    auroc: float | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class SlicePart:
    """A part of a slice."""

    slice: str
    value: str
    examples: int
    metrics: Numbers
    intervals: Intervals


@dataclass(frozen=True)
class Calibration:
    """Calibration on a split.

    temperature: None if each label has a scale and an offset; the errors are then means over the labels
    """

    ece_before: float | None
    ece_after: float | None
    temperature: float | None = None


@dataclass(frozen=True)
class LabelAbstention:
    """Abstention of one label on a split: see `Abstention`."""

    label: str
    threshold: float | None
    coverage: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Abstention:
    """Abstention on a split.

    threshold: None if the model always abstains; coverage: share of images answered; accuracy: on these, None without
    any; labels: of each label if it is decided label by label: the other values are then None
    """

    threshold: float | None = None
    coverage: float | None = None
    accuracy: float | None = None
    labels: list[LabelAbstention] = field(default_factory=list)


@dataclass(frozen=True)
class OutOfDistribution:
    """Out-of-distribution images of a split. strange: their share."""

    strange: float


@dataclass(frozen=True)
class EvaluationFacts:
    """metrics.json; known: number of images by how the run or an ancestor learnt from them.

    honest, honest_intervals, honest_examples: without the images that were learnt from; honest is empty in an
    evaluation by an earlier version. groups: number of independent groups of images, None if no image has one
    """

    examples: int
    metrics: Numbers
    intervals: Intervals
    per_class: list[ClassRow]
    slices: list[SlicePart] = field(default_factory=list)
    calibration: Calibration | None = None
    abstention: Abstention | None = None
    out_of_distribution: OutOfDistribution | None = None
    known: dict[str, int] = field(default_factory=dict)
    honest: Numbers = field(default_factory=dict)
    honest_intervals: Intervals = field(default_factory=dict)
    honest_examples: int = 0
    known_gaps: list[str] = field(default_factory=list)
    groups: int | None = None

    @property
    def judged(self) -> tuple[int, Numbers, Intervals]:
        """The number of images, metrics and intervals to state first: the honest ones if there are any."""
        if self.honest:
            return self.honest_examples, self.honest, self.honest_intervals
        return self.examples, self.metrics, self.intervals

    @property
    def is_honest(self) -> bool:
        """True if images remain without those that were learnt from, or none was found by an earlier version."""
        return self.honest_examples > 0 if self.honest else not self.known


@dataclass(frozen=True)
class ArtefactFacts:
    """export.json; run: label of the exported run; bytes: a float, as a JSON number may be too large for an int64.

    known: number of the verification images that the run trained on or an ancestor learnt from. unknown: the score and
    threshold of its out-of-distribution output; None if it has none. The measured values are None if the format's
    runtime was not installed.
    """

    run: str
    format: str
    bytes: float
    quantize: str
    label_agreement: float | None
    max_abs_diff: float | None
    accuracy_exported: float | None
    map_exported: float | None = None
    known: int = 0
    unknown: dict[str, str | float] | None = None


@dataclass(frozen=True)
class PhaseFacts:
    """A phase of training."""

    unfreeze: str | int
    epochs: int
    learning_rate: float
    kind: str = "train"


@dataclass(frozen=True)
class AdaptationFacts:
    """Decision on the use of auxiliary images."""

    text: str
    case: str = ""


@dataclass(frozen=True)
class DataFacts:
    fingerprint: str
    images: dict[str, int]
    notes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MachineFacts:
    system: str
    processor: str
    cores: int
    devices: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        devices = ", ".join(self.devices) or "no accelerator"
        return f"{self.cores} cores of a {self.processor} processor ({self.system}), {devices}"


@dataclass(frozen=True)
class RunFacts:
    """run.json; the defaults are for keys that an unfinished run, or one of an earlier version, does not have."""

    command: str
    data: DataFacts
    created: str = ""
    seed: int | None = None
    precision: str | None = None
    backend: str | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    phases: list[PhaseFacts] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    machine: MachineFacts | None = None
    versions: dict[str, str] = field(default_factory=dict)
    adaptation: AdaptationFacts | None = None
    cross_validated: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """The content of a card.

    Attributes:
        spec: of the artefacts: labels, input, temperature, abstention threshold.
        base: key of a row in `models/bases.py`; source: its origin. taps: its layers that the head reads besides its
            output.
        licence: of the run's initial weights, in words; licence_id: the Hub's name for the licence of the first
            ancestor's initial weights; first_weights: those weights, in words.
        strategy: key of a transfer strategy.
        shown: the metrics that the config lists first.
        config_yaml: the resolved config, without absolute paths.
        counts: {label: {split: images}}.
        evaluations: of the current model, by the name of their folder; the decisive one first.
        lineage: the run and its ancestors by initial weights, as returned by `runs show`.
        artefacts: those in the folder of the card.
        unknown_auroc: of the run's out-of-distribution score on left-out classes; None if it was not measured.
    """

    experiment: str
    run_id: str
    spec: ExportSpec
    base: str
    source: str
    licence: str
    licence_id: str
    first_weights: str
    strategy: str
    shown: Sequence[str]
    record: RunFacts
    config_yaml: str
    counts: Mapping[str, Mapping[str, int]]
    evaluations: Mapping[str, EvaluationFacts]
    lineage: Sequence[Mapping[str, Any]]
    artefacts: Sequence[ArtefactFacts]
    unknown_auroc: float | None = None
    taps: Sequence[str] = ()


def validated(kind: type[T], value: Any, path: Path) -> T:
    """Return a JSON value as an instance of `kind`, one of the classes above.

    Raises `ArtefactError`, with `path` and the damaged key, if it does not match the class.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise ArtefactError(f"{path} is damaged: {problem_of(error)}", RESTORE_HINT) from None
