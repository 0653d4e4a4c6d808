"""Calibration, thresholds and abstention of a run with several labels, fitted once on its validation images.

`calibration.json` of such a run holds for each label the map of its logits, the probability from which it is answered,
and the confidence below which its answer is unsure. All reported, predicted and exported probabilities are calibrated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.config.schema import AbstainConfig, EvaluationConfig
from transfercli.data.clusters import cluster_indices
from transfercli.errors import ArtefactError
from transfercli.evaluation.confidence.abstention import THRESHOLD_RULES, possible_accuracy
from transfercli.evaluation.confidence.selective import coverage_curve
from transfercli.evaluation.confidence.thresholds import (
    DEFAULT_THRESHOLD,
    Choice,
    Rule,
    checked_rule,
    choose_threshold,
    read_choice,
    rule_of,
)
from transfercli.evaluation.multilabel.calibration import LabelScaling, fit_calibration
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.models.tasks.answers import as_float32
from transfercli.models.tasks.calibration import Calibration
from transfercli.models.tasks.outputs import sigmoid
from transfercli.models.unknown.score import FAMILIAR_SHARE, label_energies

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ARRAYS = ("scales", "offsets", "thresholds")  # of `calibration.json`
MOST_SHOWN = 200  # characters of a damaged value


@dataclass(frozen=True, slots=True, eq=False)
class LabelAssessment:
    """Calibrated predictions of N images with any of L labels.

    probabilities: float64 [N, L], calibrated
    answered: bool [N, L], True if the label is answered
    unsure: bool [N, L], True if the answer, with or without the label, is less probable than its confidence
    unknown: float64 [N], the out-of-distribution score; strange: bool [N], True if it is above its threshold
    """

    probabilities: Array
    answered: Bools
    unsure: Bools
    unknown: Array
    strange: Bools

    @property
    def abstained(self) -> Bools:
        """bool [N]: images to leave to a person, as they are strange or one of their labels is unsure."""
        return self.strange | self.unsure.any(axis=1)


@dataclass(frozen=True, slots=True)
class LabelAbstention:
    """Confidences for a target of each label.

    target: {"accuracy": x} or {"coverage": x}
    confidences: probability of the answer below which a label is unsure; None if none can promise the target: then the
        label is always unsure
    possible: the highest accuracy that the images can promise for such a label; None for another one, or below 0.5
    """

    target: Mapping[str, float]
    confidences: tuple[float | None, ...]
    possible: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LabelTrust:
    """Parameters fitted on the validation images.

    labels: names of the labels, in index order
    scales, offsets: float64 [L]; the calibrated logit of a label is `logit * scale + offset`
    thresholds: float64 [L]; a label is answered if its calibrated probability is at least its threshold
    scalings: the decision about the map of each label; () if none was fitted
    rule: how the thresholds were chosen; None for 0.5. choices: the threshold of each label with its quality
    abstention: None if the config sets no target: then no label is unsure
    energy: threshold above which an image is strange if the run has no other score; None if there is none
    """

    labels: tuple[str, ...]
    scales: Array
    offsets: Array
    thresholds: Array
    scalings: tuple[LabelScaling, ...] = ()
    rule: Rule | None = None
    choices: tuple[Choice, ...] = ()
    abstention: LabelAbstention | None = None
    energy: float | None = None

    @classmethod
    def without_fit(cls, labels: Sequence[str]) -> LabelTrust:
        """Return parameters that change no probability, with thresholds of 0.5."""
        count = len(labels)
        return cls(tuple(labels), np.ones(count), np.zeros(count), np.full(count, DEFAULT_THRESHOLD))

    @property
    def calibration(self) -> Calibration:
        """The affine map of the logits."""
        return Calibration(self.scales, self.offsets)

    def probabilities(self, logits: npt.NDArray[np.floating]) -> Array:
        """Return calibrated probabilities float64 [N, L] of logits [N, L]."""
        return sigmoid(self.calibration.of(logits))

    def answered(self, probabilities: npt.NDArray[np.floating]) -> Bools:
        """Return the answered labels, bool [N, L], of calibrated probabilities [N, L], which float32 rounds."""
        return label_answers(probabilities, self.thresholds)[0]

    def unsure(self, probabilities: npt.NDArray[np.floating]) -> Bools:
        """Return the labels whose answer is less probable than their confidence, bool [N, L]."""
        return label_answers(probabilities, self.thresholds, self.abstention.confidences if self.abstention else ())[1]

    def confidence(self, probabilities: npt.NDArray[np.floating]) -> Array:
        """Return the probability of each answer, with the label or without it, [N, L]."""
        return _confidence(as_float32(probabilities), self.answered(probabilities))

    def assess(
        self, logits: npt.NDArray[np.floating], unknown: Array | None = None, limit: float | None = None
    ) -> LabelAssessment:
        """Return calibrated probabilities, answers and abstentions for logits [N, L] of the classifier's `model`.

        unknown: out-of-distribution scores float [N], and limit, their threshold; without them, the energy and its
        threshold are used.
        """
        probabilities = self.probabilities(logits)
        if unknown is None:
            unknown, limit = label_energies(logits), self.energy
        strange = np.zeros(len(logits), bool) if limit is None else unknown > limit
        return LabelAssessment(
            probabilities, self.answered(probabilities), self.unsure(probabilities), unknown, strange
        )


def label_answers(
    probabilities: npt.NDArray[np.floating],
    thresholds: npt.ArrayLike,
    confidences: Sequence[float | None] = (),
) -> tuple[Bools, Bools]:
    """Return the answered labels and the unsure ones, bool [N, L] each, of calibrated probabilities [N, L].

    thresholds: [L]. confidences: as of `LabelAbstention`; () if no label is unsure.
    """
    values = as_float32(probabilities)
    answered: Bools = values >= np.asarray(thresholds, np.float64)
    least = np.array([math.inf if value is None else value for value in confidences or (0.0,)])
    return answered, _confidence(values, answered) < least


def _confidence(probabilities: Array, answered: Bools) -> Array:
    return np.where(answered, probabilities, 1 - probabilities)


def fit_label_trust(
    logits: npt.NDArray[np.floating],
    targets: npt.NDArray[np.integer],
    labels: Sequence[str],
    config: EvaluationConfig,
    groups: Sequence[str] = (),
) -> LabelTrust:
    """Fit the parameters on held-out images: logits [N, L]; targets int [N, L], 1, 0, or -1 if unknown."""
    calibration, scalings = fit_calibration(logits, targets, groups)
    trust = LabelTrust(
        tuple(labels),
        calibration.scale,
        calibration.offset,
        np.full(len(labels), DEFAULT_THRESHOLD),
        scalings,
        rule_of(config.thresholds),
        energy=float(np.quantile(label_energies(logits), FAMILIAR_SHARE)),
    )
    probabilities = trust.probabilities(logits)
    if trust.rule is not None:
        choices = tuple(
            choose_threshold(probabilities[known, index], targets[known, index] == 1, trust.rule, _of(groups, known))
            for index, known in enumerate((targets >= 0).T)
        )
        trust = replace(trust, choices=choices, thresholds=np.array([choice.threshold for choice in choices]))
    if config.abstain is None:
        return trust
    return replace(trust, abstention=_abstention(trust, probabilities, targets, config.abstain, groups))


def _abstention(
    trust: LabelTrust,
    probabilities: Array,
    targets: npt.NDArray[np.integer],
    abstain: AbstainConfig,
    groups: Sequence[str],
) -> LabelAbstention:
    ((name, target),) = abstain.model_dump(exclude_none=True).items()
    confidences, right = trust.confidence(probabilities), trust.answered(probabilities) == (targets == 1)
    chosen, possible = list[float | None](), list[float | None]()
    for index, known in enumerate((targets >= 0).T):
        if not known.any():
            chosen.append(None)
            possible.append(None)
            continue
        clusters = cluster_indices(_of(groups, known))
        curve = coverage_curve(confidences[known, index], right[known, index], clusters)
        confidence = THRESHOLD_RULES[name](curve, target)
        chosen.append(confidence)
        possible.append(possible_accuracy(curve, target) if confidence is None else None)
    return LabelAbstention({name: target}, tuple(chosen), tuple(possible))


def _of(groups: Sequence[str], chosen: Bools) -> tuple[str, ...]:
    return tuple(groups[index] for index in np.flatnonzero(chosen).tolist()) if groups else ()


def write_label_trust(path: Path, trust: LabelTrust) -> None:
    """Write `calibration.json` atomically."""
    values = {name.name: getattr(trust, name.name) for name in fields(trust)}
    arrays = {name: value.tolist() for name, value in values.items() if isinstance(value, np.ndarray)}
    rows = {name: [asdict(row) for row in values[name]] for name in ("scalings", "choices")}
    abstention = asdict(trust.abstention) if trust.abstention else None
    atomic.write_json(path, values | arrays | rows | {"abstention": abstention})


def read_label_trust(path: Path) -> LabelTrust | None:
    """Read `calibration.json`; None if it is missing. Raises `ArtefactError` if it is damaged."""
    if not path.exists():
        return None
    values = read_json(path)
    try:
        labels = tuple(values["labels"])
        scales, offsets, thresholds = (_numbers(values[name], len(labels)) for name in ARRAYS)
        if not ((scales > 0).all() and (thresholds >= 0).all() and (thresholds <= 1).all()):
            raise ValueError("a scale is not above 0, or a threshold not a probability")
        return LabelTrust(
            labels,
            scales,
            offsets,
            thresholds,
            tuple(LabelScaling(**row) for row in _rows(values.get("scalings", []), len(labels))),
            checked_rule(values.get("rule")),
            tuple(read_choice(row) for row in _rows(values.get("choices", []), len(labels))),
            _read_abstention(values.get("abstention"), len(labels)),
            None if values.get("energy") is None else float(values["energy"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtefactError(f"{path.name} is damaged: {error}", "restore the run, or train it again") from error


def _numbers(value: Any, count: int) -> Array:
    array = np.array(value, np.float64)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise ValueError("a list has not one number a label")
    return array


def _rows(value: Any, count: int) -> list[Any]:
    if len(value) not in (0, count):
        raise ValueError("a list has not one row a label")
    return list(value)


def _read_abstention(value: Any, count: int) -> LabelAbstention | None:
    if value is None:
        return None
    ((name, target),) = value["target"].items()
    confidences, possible = tuple(value["confidences"]), tuple(value["possible"])
    numbers = [target, *(number for number in (*confidences, *possible) if number is not None)]
    if name not in THRESHOLD_RULES or not all(type(number) in (int, float) for number in numbers):
        raise ValueError(f"the abstention is {value!r}"[:MOST_SHOWN])
    if not len(confidences) == len(possible) == count:
        raise ValueError("the abstention has not one confidence a label")
    return LabelAbstention({name: target}, confidences, possible)
