"""Temperature, abstention thresholds and conformal scores of a run, fitted once on its validation images.

`calibration.json` of a run holds its temperature, the confidence below which it abstains, the energy above which an
image counts as strange, i.e. out of distribution, and the scores of its validation images, which prediction sets are
made from. All reported, predicted and exported probabilities are calibrated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.config.schema import AbstainConfig
from transfercli.data.clusters import cluster_indices
from transfercli.errors import ArtefactError
from transfercli.evaluation.confidence.abstention import THRESHOLD_RULES, possible_accuracy
from transfercli.evaluation.confidence.conformal import ConformalScores, conformal_metrics, conformal_scores
from transfercli.evaluation.confidence.selective import CoverageCurve, coverage_curve
from transfercli.evaluation.confidence.temperature import Scaling, calibrated, choose_temperature, class_logits
from transfercli.evaluation.confidence.thresholds import (
    Choice,
    Rule,
    checked_rule,
    choose_threshold,
    read_choice,
)
from transfercli.evaluation.metrics.calibration import expected_calibration_error
from transfercli.evaluation.metrics.confusion import Array, Targets
from transfercli.evaluation.metrics.registry import log_losses
from transfercli.evaluation.statistics.intervals import wilson
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.models.tasks.answers import answers_of
from transfercli.models.tasks.calibration import Calibration
from transfercli.models.unknown.score import FAMILIAR_SHARE, UnknownScore, energies

HISTOGRAM_BINS = 30  # of out-of-distribution scores


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """Calibrated predictions of N images, and the images on which the model abstains.

    probabilities: float64 [N, C], calibrated
    answers: int64 [N], the predicted classes if a threshold chose them; None for the most probable classes
    unknown: float64 [N], the out-of-distribution score, high for images unlike the training images
    unsure: bool [N], True if the confidence is below its threshold
    strange: bool [N], True if the out-of-distribution score is above its threshold
    """

    probabilities: Array
    unknown: Array
    unsure: npt.NDArray[np.bool_]
    strange: npt.NDArray[np.bool_]
    answers: Targets | None = None

    @property
    def abstained(self) -> npt.NDArray[np.bool_]:
        """bool [N]: the images to leave to a person."""
        return self.unsure | self.strange


@dataclass(frozen=True, slots=True)
class Trust:
    """Parameters fitted on the validation images. The default is for runs without any: it changes no prediction.

    temperature: divisor of the logits
    target: {"accuracy": x} or {"coverage": x}; None if the config sets none
    confidence: threshold below which the model abstains; None if none can promise the target: it always abstains
    energy: threshold above which an image is strange if the run has no other score; None if there is none
    possible: if `confidence` is None, the highest accuracy that the images can promise, or None if it is below 0.5
    scaling: the decision about the temperature; None for a run of an earlier version
    conformal: scores for prediction sets; None for a run of an earlier version
    rule: how the threshold of the second of two classes was chosen; None for the most probable class
    choice: that threshold with its quality; None without a rule
    """

    temperature: float = 1.0
    target: Mapping[str, float] | None = None
    confidence: float | None = 0.0
    energy: float | None = None
    possible: float | None = None
    scaling: Scaling | None = None
    conformal: ConformalScores | None = None
    rule: Rule | None = None
    choice: Choice | None = None

    @property
    def calibration(self) -> Calibration:
        """The division of the logits by the temperature."""
        return Calibration.of_temperature(self.temperature)

    @property
    def threshold(self) -> float | None:
        """The probability from which the second of two classes is answered; None for the most probable class."""
        return self.choice.threshold if self.choice else None

    def answers(self, probabilities: npt.NDArray[np.floating]) -> Targets | None:
        """Return the classes that the threshold answers, int64 [N], of calibrated probabilities [N, 2].

        None if there is no threshold.
        """
        return answers_of(probabilities, self.threshold)

    def assess(
        self, logits: npt.NDArray[np.floating], unknown: Array | None = None, limit: float | None = None
    ) -> Assessment:
        """Return calibrated probabilities and abstentions for logits of the classifier's `model`.

        logits: float [N, C], or [N, 1] of a sigmoid head. unknown: out-of-distribution scores float [N], and limit,
        their threshold; without them, the energy and its threshold are used.
        """
        values = class_logits(logits)
        probabilities = calibrated(values, self.temperature)
        if unknown is None:
            unknown, limit = energies(values), self.energy
        strange = np.zeros(len(values), bool) if limit is None else unknown > limit
        least = math.inf if self.confidence is None else self.confidence
        answers = self.answers(probabilities)
        unsure = _confidence(probabilities, answers) < least
        return Assessment(probabilities, unknown, unsure, strange, answers)


def fit_trust(
    logits: npt.NDArray[np.floating],
    targets: Targets,
    abstain: AbstainConfig | None,
    groups: Sequence[str] = (),
    rule: Rule | None = None,
) -> Trust:
    """Fit temperature, thresholds and conformal scores on the validation images.

    logits: float [N, C] or [N, 1]; targets: int [N]; groups: of the images, as in `Split`. rule: of the threshold of
    the second of two classes.
    """
    values = class_logits(logits)
    scaling = choose_temperature(values, targets, groups)
    probabilities = calibrated(values, scaling.temperature)
    trust = Trust(
        scaling.temperature,
        energy=float(np.quantile(energies(values), FAMILIAR_SHARE)),
        scaling=scaling,
        conformal=conformal_scores(probabilities, targets, groups),
        rule=rule,
        choice=choose_threshold(probabilities[:, 1], targets == 1, rule, groups) if rule else None,
    )
    if abstain is None:
        return trust
    ((name, target),) = abstain.model_dump(exclude_none=True).items()
    curve = _curve(probabilities, targets, trust.answers(probabilities), groups)
    threshold = THRESHOLD_RULES[name](curve, target)
    possible = possible_accuracy(curve, target) if threshold is None else None
    return replace(trust, target={name: target}, confidence=threshold, possible=possible)


def confidence_metrics(
    assessment: Assessment,
    logits: npt.NDArray[np.floating],
    targets: Targets,
    trust: Trust | None,
    score: UnknownScore | None = None,
) -> dict[str, Any]:
    """Return calibration, risk-coverage curve, abstention, out-of-distribution shares and prediction sets, as JSON.

    trust: None for a run that has none: then only the risk-coverage curve is computed. score: the run's
    out-of-distribution score; None if it is the energy
    """
    curve = _curve(assessment.probabilities, targets, assessment.answers)
    result: dict[str, Any] = {"calibration": None, "risk_coverage": curve.as_json(), "abstention": None}
    result["threshold"] = {"rule": trust.rule, **asdict(trust.choice)} if trust and trust.choice else None
    if trust is None:
        return result | {"out_of_distribution": None, "conformal": None}
    values, right = class_logits(logits), _predicted(assessment.probabilities, assessment.answers) == targets
    before_and_after = [calibrated(values, t) for t in (1.0, trust.temperature)]
    errors = [_ece(probabilities, targets) for probabilities in before_and_after]
    losses = [float(log_losses(targets, probabilities).mean()) for probabilities in before_and_after]
    result["calibration"] = {
        "temperature": trust.temperature,
        **{f"ece_{when}": value for when, value in zip(("before", "after"), errors, strict=True)},
        **{f"log_loss_{when}": value for when, value in zip(("before", "after"), losses, strict=True)},
        "decision": asdict(trust.scaling) | {"scaled": trust.scaling.scaled} if trust.scaling else None,
    }
    if trust.target:
        chosen = {"target": dict(trust.target), "threshold": trust.confidence, "possible": trust.possible}
        result["abstention"] = chosen | _selective_accuracy(~assessment.unsure, right)
    result["out_of_distribution"] = _out_of_distribution(assessment, trust, score)
    scores = trust.conformal
    result["conformal"] = conformal_metrics(assessment.probabilities, targets, scores) if scores else None
    return result


def _out_of_distribution(assessment: Assessment, trust: Trust, score: UnknownScore | None) -> dict[str, Any]:
    counts, edges = np.histogram(assessment.unknown, HISTOGRAM_BINS)
    return {
        "score": score.name if score else "energy",
        "threshold": score.threshold if score else trust.energy,
        "strange": float(assessment.strange.mean()),
        "abstained": float(assessment.abstained.mean()),
        "left_out_auroc": dict(score.separation) if score else {},
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


def write_trust(path: Path, trust: Trust) -> None:
    """Write `calibration.json` atomically."""
    atomic.write_json(path, asdict(trust))


def read_trust(path: Path) -> Trust | None:
    """Read `calibration.json`; None if a run of an earlier version has none. Raises ArtefactError if it is damaged."""
    if not path.exists():
        return None
    values = read_json(path)
    try:
        scaling, conformal, rule, choice = (values.pop(key, None) for key in ("scaling", "conformal", "rule", "choice"))
        trust = Trust(
            **values,
            scaling=Scaling(**scaling) if scaling else None,
            conformal=ConformalScores.from_json(conformal) if conformal else None,
            rule=checked_rule(rule),
            choice=read_choice(choice) if choice else None,
        )
        decision = asdict(trust.scaling).values() if trust.scaling else ()
        optional = (trust.confidence, trust.energy, trust.possible, *decision)
        numbers = [trust.temperature, *(value for value in optional if value is not None)]
        if not all(type(value) in (int, float) and math.isfinite(value) for value in numbers) or trust.temperature <= 0:
            raise ValueError("a value is not a number, or the temperature is not above 0")
        if trust.target is not None and not _is_target(trust.target):
            raise ValueError(f"the target is {trust.target!r}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtefactError(f"{path.name} is damaged: {error}", "restore the run, or train it again") from error
    return trust


def _is_target(value: Any) -> bool:
    if not (isinstance(value, dict) and len(value) == 1):
        return False
    ((name, target),) = value.items()
    return name in THRESHOLD_RULES and type(target) in (int, float)


def _predicted(probabilities: Array, answers: Targets | None) -> Targets:
    return probabilities.argmax(axis=1) if answers is None else answers


def _confidence(probabilities: Array, answers: Targets | None) -> Array:
    """Return the probability of each answer, float64 [N]."""
    confidence: Array = probabilities[np.arange(len(probabilities)), _predicted(probabilities, answers)]
    return confidence


def _curve(
    probabilities: Array, targets: Targets, answers: Targets | None, groups: Sequence[str] = ()
) -> CoverageCurve:
    right = _predicted(probabilities, answers) == targets
    return coverage_curve(_confidence(probabilities, answers), right, cluster_indices(groups))


def _ece(probabilities: Array, targets: Targets) -> float:
    right = probabilities.argmax(axis=1) == targets
    return expected_calibration_error(probabilities.max(axis=1), right)


def _selective_accuracy(answered: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    images, hits = int(answered.sum()), int((answered & right).sum())
    interval = wilson(hits, images)
    return {
        "coverage": float(answered.mean()),
        "accuracy": hits / images if images else None,
        "interval": list(interval) if interval else None,
    }
