"""What a model card is made of: the parts of a run's files that it tells, checked to be of the shape they should have.

A run may be a stranger's. `parsed` turns JSON into these classes, or says which file is damaged, and where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from transfercli.errors import ArtefactError
from transfercli.export.spec import ExportSpec
from transfercli.io.bounded import RESTORE
from transfercli.runs.untrusted import problem_of

T = TypeVar("T")
Numbers = dict[str, float | None]
Intervals = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class ClassRow:
    """A class in an evaluation; None where a value is not defined."""

    label: str
    support: int
    recall: float | None
    precision: float | None
    f1: float | None


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
    temperature: float
    ece_before: float | None
    ece_after: float | None


@dataclass(frozen=True)
class Abstention:
    """threshold: None where no confidence is believed; accuracy: of the answers, None without any."""

    threshold: float | None
    coverage: float
    accuracy: float | None


@dataclass(frozen=True)
class OutOfDistribution:
    """strange: the share of images unlike those of validation."""

    strange: float


@dataclass(frozen=True)
class EvaluationFacts:
    """metrics.json; known: how many of the images the run learnt from, by side."""

    examples: int
    metrics: Numbers
    intervals: Intervals
    per_class: list[ClassRow]
    slices: list[SlicePart] = field(default_factory=list)
    calibration: Calibration | None = None
    abstention: Abstention | None = None
    out_of_distribution: OutOfDistribution | None = None
    known: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ArtefactFacts:
    """export.json; run: the label of the run that it is of; bytes: a float, so that no number is too large for it."""

    run: str
    format: str
    bytes: float
    quantize: str
    label_agreement: float
    max_abs_diff: float
    accuracy_exported: float


@dataclass(frozen=True)
class PhaseFacts:
    """A phase of training."""

    unfreeze: str | int
    epochs: int
    learning_rate: float
    kind: str = "train"


@dataclass(frozen=True)
class DataFacts:
    fingerprint: str
    images: dict[str, int]


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
    """run.json; a run that never ended, or one by an earlier version, lacks some of it."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """All of it.

    Attributes:
        spec: of the artefacts: labels, input, temperature, the confidence below which they abstain.
        base: its row in `models/bases.py`, and `source`, where that comes from.
        licence: of the weights it began with, in words; `licence_id`, the Hub's name for that of the first of its
            ancestors' weights, and `first_weights`, what those were.
        strategy: a row of the transfer strategies.
        shown: the metrics that the config wants told first.
        config_yaml: the resolved config, without absolute paths.
        counts: {label: {split: images}}.
        evaluations: by the name of their folder, of the model as it is; the one that decides first.
        lineage: the run and those that its weights came from, as `runs show` gives them.
        artefacts: those that stand beside the card.
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


def validated(kind: type[T], value: Any, path: Path) -> T:
    """`value`, as JSON gave it, as one of the classes above; `ArtefactError` that names `path` where it is none."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise ArtefactError(f"{path} is damaged: {problem_of(error)}", RESTORE) from None
