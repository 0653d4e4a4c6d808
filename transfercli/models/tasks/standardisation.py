"""Standardised numbers: the network of a regression learns them, and the map back gives numbers in their own unit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.errors import ArtefactError, DataError
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.models.tasks.calibration import Calibration


@dataclass(frozen=True, slots=True)
class Standardisation:
    """Mean and standard deviation of the numbers of the training images, in their unit; the latter is above 0."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, targets: npt.NDArray[Any]) -> Standardisation:
        """Return that of the numbers of training images, [N]. Raises `DataError` if all are the same."""
        values = targets.astype(np.float64)
        mean, deviation = float(values.mean()), float(values.std())
        if not deviation > 1e-6 * abs(mean):  # of float32 numbers
            raise DataError(
                f"all {len(values)} training images have the number {mean:g}, so nothing can be learnt",
                "check the column of the numbers (data.columns.label)",
            )
        return cls(mean, deviation)

    @property
    def calibration(self) -> Calibration:
        """The map of the network's output to the number."""
        return Calibration(np.array([self.deviation]), np.array([self.mean]))

    def standardised(self, targets: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return numbers [N] as the network learns them, float64 [N]."""
        return (targets.astype(np.float64) - self.mean) / self.deviation


def write_standardisation(path: Path, standardisation: Standardisation) -> None:
    """Write calibration.json of a regression, atomically."""
    values = {"task": "regression", "mean": standardisation.mean, "standard_deviation": standardisation.deviation}
    atomic.write_json(path, {"format": 1, **values})


def read_standardisation(path: Path) -> Standardisation:
    """Read calibration.json of a regression. Raises `ArtefactError` if it is missing or damaged."""
    values = read_json(path)
    try:
        mean, deviation = float(values["mean"]), float(values["standard_deviation"])
        if not (np.isfinite(mean) and np.isfinite(deviation) and deviation > 0):
            raise ValueError("its numbers are not finite, or the standard deviation is not above 0")
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{path.name} is damaged: {error}", "restore the run, or train it again") from error
    return Standardisation(mean, deviation)
