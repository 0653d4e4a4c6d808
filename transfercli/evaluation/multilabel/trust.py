"""Calibration and thresholds of a run with several labels, fitted once on its validation images: `calibration.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transfercli.config.schema import EvaluationConfig
from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.models.tasks.outputs import sigmoid

Array = npt.NDArray[np.float64]
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class LabelTrust:
    """Parameters fitted on the validation images.

    labels: names of the labels, in index order
    scales, offsets: float64 [L]; the calibrated logit of a label is `logit * scale + offset`
    thresholds: float64 [L]; a label is answered if its calibrated probability is at least its threshold
    """

    labels: tuple[str, ...]
    scales: Array
    offsets: Array
    thresholds: Array

    @classmethod
    def without_fit(cls, labels: Sequence[str]) -> LabelTrust:
        """Return parameters that change no probability, with thresholds of 0.5."""
        count = len(labels)
        return cls(tuple(labels), np.ones(count), np.zeros(count), np.full(count, DEFAULT_THRESHOLD))

    def probabilities(self, logits: npt.NDArray[np.floating]) -> Array:
        """Return calibrated probabilities float64 [N, L] of logits [N, L]."""
        return sigmoid(logits.astype(np.float64) * self.scales + self.offsets)


def fit_label_trust(
    logits: npt.NDArray[np.floating],
    targets: npt.NDArray[np.integer],
    labels: Sequence[str],
    config: EvaluationConfig,
    groups: Sequence[str] = (),
) -> LabelTrust:
    """Fit the parameters on validation images: logits [N, L]; targets int [N, L], 1, 0, or -1 if unknown."""
    return LabelTrust.without_fit(labels)


def write_label_trust(path: Path, trust: LabelTrust) -> None:
    """Write `calibration.json` atomically."""
    atomic.write_json(
        path,
        {
            "labels": list(trust.labels),
            "scales": trust.scales.tolist(),
            "offsets": trust.offsets.tolist(),
            "thresholds": trust.thresholds.tolist(),
        },
    )


def read_label_trust(path: Path) -> LabelTrust | None:
    """Read `calibration.json`; None if it is missing. Raises `ArtefactError` if it is damaged."""
    if not path.exists():
        return None
    values = read_json(path)
    try:
        labels = tuple(values["labels"])
        arrays = [np.array(values[key], np.float64) for key in ("scales", "offsets", "thresholds")]
        if any(array.shape != (len(labels),) or not np.isfinite(array).all() for array in arrays):
            raise ValueError("a list has not one number a label")
    except (ValueError, TypeError, KeyError) as error:
        raise ArtefactError(f"{path.name} is damaged: {error}", "restore the run, or train it again") from error
    return LabelTrust(labels, *arrays)
