"""When a model's word is to be taken: what is measured on the validation images once, and kept with the run.

`calibration.json` of a run holds its temperature, the confidence below which it abstains and the energy above which an
image is strange. Every probability that is reported, predicted or exported is a calibrated one.
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
from transfercli.evaluation.confidence.selective import TARGETS, Coverage, coverage
from transfercli.evaluation.confidence.temperature import calibrated, class_logits, fit_temperature, log_loss
from transfercli.evaluation.metrics.calibration import expected_calibration_error
from transfercli.evaluation.metrics.confusion import Array, Targets
from transfercli.evaluation.statistics.intervals import wilson
from transfercli.io import atomic
from transfercli.io.bounded import read_json

# The share of validation images that are not strange.
FAMILIAR = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What a run says of N images, and whether it is to be believed.

    probabilities: float64 [N, C], calibrated
    energy: float64 [N], the higher the stranger
    unsure: bool [N], below the confidence that the target asks for
    strange: bool [N], unlike the images of the validation split
    """

    probabilities: Array
    energy: Array
    unsure: npt.NDArray[np.bool_]
    strange: npt.NDArray[np.bool_]

    @property
    def abstained(self) -> npt.NDArray[np.bool_]:
        """bool [N]: what is left to a person."""
        return self.unsure | self.strange


@dataclass(frozen=True, slots=True)
class Trust:
    """What was learnt from the validation images. A run without any has the default: nothing is changed or doubted.

    temperature: divides the logits
    target: {"accuracy": x} or {"coverage": x}; None where none was asked for
    confidence: the least that is believed; None where no confidence reaches the target, and so none is
    energy: the most that is not strange
    """

    temperature: float = 1.0
    target: Mapping[str, float] | None = None
    confidence: float | None = 0.0
    energy: float | None = None

    def judge(self, logits: npt.NDArray[np.floating]) -> Judgement:
        """For float logits [N, C], or [N, 1] of a sigmoid head, as the classifier's `model` gives them."""
        values = class_logits(logits)
        probabilities, energy = calibrated(values, self.temperature), energies(values)
        none = np.zeros(len(values), bool)
        confidence = math.inf if self.confidence is None else self.confidence
        strange = none if self.energy is None else energy > self.energy
        return Judgement(probabilities, energy, probabilities.max(axis=1) < confidence, strange)


def energies(logits: Array) -> Array:
    """float64 [N]: the energy of each image (Liu et al. 2020, "Energy-based Out-of-distribution Detection").

    Minus the log of the summed exponentials of its logits [N, C]: high where no class claims the image.
    """
    top = logits.max(axis=1)
    return -(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))


def learn_trust(logits: npt.NDArray[np.floating], targets: Targets, abstain: AbstainConfig | None) -> Trust:
    """From the validation images: float logits [N, C] or [N, 1], and targets int [N]."""
    values = class_logits(logits)
    temperature = fit_temperature(values, targets)
    energy = float(np.quantile(energies(values), FAMILIAR))
    if abstain is None:
        return Trust(temperature, energy=energy)
    ((name, wanted),) = abstain.model_dump(exclude_none=True).items()
    curve = _curve(calibrated(values, temperature), targets)
    return Trust(temperature, {name: wanted}, TARGETS[name](curve, wanted), energy)


def judged(
    judgement: Judgement, logits: npt.NDArray[np.floating], targets: Targets, trust: Trust | None
) -> dict[str, Any]:
    """What `evaluate` reports of it on other images: calibration, risk-coverage curve, abstention and strangeness."""
    curve = _curve(judgement.probabilities, targets)
    result: dict[str, Any] = {"calibration": None, "risk_coverage": curve.as_json(), "abstention": None}
    if trust is None:
        return result | {"out_of_distribution": None}
    values, right = class_logits(logits), judgement.probabilities.argmax(axis=1) == targets
    errors = [_ece(calibrated(values, t), targets) for t in (1.0, trust.temperature)]
    losses = [log_loss(values, targets, t) for t in (1.0, trust.temperature)]
    result["calibration"] = {
        "temperature": trust.temperature,
        **{f"ece_{when}": value for when, value in zip(("before", "after"), errors, strict=True)},
        **{f"log_loss_{when}": value for when, value in zip(("before", "after"), losses, strict=True)},
    }
    if trust.target:
        told = {"target": dict(trust.target), "threshold": trust.confidence}
        result["abstention"] = told | _kept(~judgement.unsure, right)
    shares = {"strange": float(judgement.strange.mean()), "abstained": float(judgement.abstained.mean())}
    result["out_of_distribution"] = {"score": "energy", "threshold": trust.energy, **shares}
    return result


def write_trust(path: Path, trust: Trust) -> None:
    atomic.write_json(path, asdict(trust))


def read_trust(path: Path) -> Trust | None:
    """None where a run has none: it was trained before there was one. Raises ArtefactError where it is damaged."""
    if not path.exists():
        return None
    found = read_json(path)
    try:
        trust = Trust(**found)
        numbers = [trust.temperature, *(v for v in (trust.confidence, trust.energy) if v is not None)]
        if not all(type(value) in (int, float) and math.isfinite(value) for value in numbers) or trust.temperature <= 0:
            raise ValueError("a value is no number, or the temperature is not above 0")
    except (ValueError, TypeError) as error:
        raise ArtefactError(f"{path.name} is damaged: {error}", "restore the run, or train it again") from error
    return trust


def _curve(probabilities: Array, targets: Targets) -> Coverage:
    return coverage(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets)


def _ece(probabilities: Array, targets: Targets) -> float:
    right = probabilities.argmax(axis=1) == targets
    return float(expected_calibration_error(probabilities.max(axis=1), right, np.ones((len(targets), 1)))[0])


def _kept(kept: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    images, hits = int(kept.sum()), int((kept & right).sum())
    interval = wilson(hits, images)
    return {
        "coverage": float(kept.mean()),
        "accuracy": hits / images if images else None,
        "interval": list(interval) if interval else None,
    }
