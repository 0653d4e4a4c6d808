"""Temperature and abstention thresholds of a run, fitted once on its validation images.

`calibration.json` of a run holds its temperature, the confidence below which it abstains and the energy above which an
image counts as strange, i.e. out of distribution. All reported, predicted and exported probabilities are calibrated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.config.schema import AbstainConfig
from transfercli.errors import ArtefactError
from transfercli.evaluation.confidence.selective import THRESHOLD_RULES, CoverageCurve, coverage_curve
from transfercli.evaluation.confidence.temperature import calibrated, class_logits, fit_temperature
from transfercli.evaluation.metrics.calibration import expected_calibration_error
from transfercli.evaluation.metrics.confusion import Array, Targets
from transfercli.evaluation.metrics.registry import log_losses
from transfercli.evaluation.statistics.intervals import wilson
from transfercli.io import atomic
from transfercli.io.bounded import read_json

# The share of validation images whose energy is at most the threshold, and which so are not strange.
FAMILIAR_SHARE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """Calibrated predictions of N images, and the images on which the model abstains.

    probabilities: float64 [N, C], calibrated
    energy: float64 [N], high for images unlike those of the validation split
    unsure: bool [N], True if the confidence is below its threshold
    strange: bool [N], True if the energy is above its threshold
    """

    probabilities: Array
    energy: Array
    unsure: npt.NDArray[np.bool_]
    strange: npt.NDArray[np.bool_]

    @property
    def abstained(self) -> npt.NDArray[np.bool_]:
        """bool [N]: the images to leave to a person."""
        return self.unsure | self.strange


@dataclass(frozen=True, slots=True)
class Trust:
    """Parameters fitted on the validation images. The default is for runs without any: it changes no prediction.

    temperature: divisor of the logits
    target: {"accuracy": x} or {"coverage": x}; None if the config sets none
    confidence: threshold below which the model abstains; None if no threshold reaches the target: it always abstains
    energy: threshold above which an image is strange; None if there is none
    """

    temperature: float = 1.0
    target: Mapping[str, float] | None = None
    confidence: float | None = 0.0
    energy: float | None = None

    def assess(self, logits: npt.NDArray[np.floating]) -> Assessment:
        """Return calibrated probabilities and abstentions for logits of the classifier's `model`.

        logits: float [N, C], or [N, 1] of a sigmoid head
        """
        values = class_logits(logits)
        probabilities, energy = calibrated(values, self.temperature), energies(values)
        none = np.zeros(len(values), bool)
        confidence = math.inf if self.confidence is None else self.confidence
        strange = none if self.energy is None else energy > self.energy
        return Assessment(probabilities, energy, probabilities.max(axis=1) < confidence, strange)


def energies(logits: Array) -> Array:
    """Return the energy of each image, float64 [N] (Liu et al. 2020, "Energy-based Out-of-distribution Detection").

    It is minus the logsumexp of the image's logits [N, C]: high if all logits are small.
    """
    top = logits.max(axis=1)
    return -(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))


def fit_trust(logits: npt.NDArray[np.floating], targets: Targets, abstain: AbstainConfig | None) -> Trust:
    """Fit temperature and thresholds on the validation images: float logits [N, C] or [N, 1], targets int [N]."""
    values = class_logits(logits)
    temperature = fit_temperature(values, targets)
    energy = float(np.quantile(energies(values), FAMILIAR_SHARE))
    if abstain is None:
        return Trust(temperature, energy=energy)
    ((name, target),) = abstain.model_dump(exclude_none=True).items()
    curve = _curve(calibrated(values, temperature), targets)
    return Trust(temperature, {name: target}, THRESHOLD_RULES[name](curve, target), energy)


def confidence_metrics(
    assessment: Assessment, logits: npt.NDArray[np.floating], targets: Targets, trust: Trust | None
) -> dict[str, Any]:
    """Return calibration, risk-coverage curve, abstention and out-of-distribution shares, as `evaluate` reports them.

    trust: None for a run that has none: then only the risk-coverage curve is computed
    """
    curve = _curve(assessment.probabilities, targets)
    result: dict[str, Any] = {"calibration": None, "risk_coverage": curve.as_json(), "abstention": None}
    if trust is None:
        return result | {"out_of_distribution": None}
    values, right = class_logits(logits), assessment.probabilities.argmax(axis=1) == targets
    before_and_after = [calibrated(values, t) for t in (1.0, trust.temperature)]
    errors = [_ece(probabilities, targets) for probabilities in before_and_after]
    losses = [float(log_losses(targets, probabilities).mean()) for probabilities in before_and_after]
    result["calibration"] = {
        "temperature": trust.temperature,
        **{f"ece_{when}": value for when, value in zip(("before", "after"), errors, strict=True)},
        **{f"log_loss_{when}": value for when, value in zip(("before", "after"), losses, strict=True)},
    }
    if trust.target:
        threshold = {"target": dict(trust.target), "threshold": trust.confidence}
        result["abstention"] = threshold | _selective_accuracy(~assessment.unsure, right)
    shares = {"strange": float(assessment.strange.mean()), "abstained": float(assessment.abstained.mean())}
    result["out_of_distribution"] = {"score": "energy", "threshold": trust.energy, **shares}
    return result


def write_trust(path: Path, trust: Trust) -> None:
    """Write `calibration.json` atomically."""
    atomic.write_json(path, asdict(trust))


def read_trust(path: Path) -> Trust | None:
    """Read `calibration.json`; None if a run of an earlier version has none. Raises ArtefactError if it is damaged."""
    if not path.exists():
        return None
    values = read_json(path)
    try:
        trust = Trust(**values)
        numbers = [trust.temperature, *(v for v in (trust.confidence, trust.energy) if v is not None)]
        if not all(type(value) in (int, float) and math.isfinite(value) for value in numbers) or trust.temperature <= 0:
            raise ValueError("a value is not a number, or the temperature is not above 0")
    except (ValueError, TypeError) as error:
        raise ArtefactError(f"{path.name} is damaged: {error}", "restore the run, or train it again") from error
    return trust


def _curve(probabilities: Array, targets: Targets) -> CoverageCurve:
    return coverage_curve(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets)


def _ece(probabilities: Array, targets: Targets) -> float:
    right = probabilities.argmax(axis=1) == targets
    return float(expected_calibration_error(probabilities.max(axis=1), right, np.ones((len(targets), 1)))[0])


def _selective_accuracy(answered: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    images, hits = int(answered.sum()), int((answered & right).sum())
    interval = wilson(hits, images)
    return {
        "coverage": float(answered.mean()),
        "accuracy": hits / images if images else None,
        "interval": list(interval) if interval else None,
    }
