"""Predictions of one number per image: the input of its metrics, intervals and report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.errors import ArtefactError
from transfercli.evaluation.predictions import write_table

COLUMNS = ("path", "label", "predicted")


@dataclass(frozen=True, slots=True, eq=False)
class ValuePredictions:
    """Paths, true and predicted numbers of N images, in the order of the split.

    quantity: name of the number
    targets, values: float64 [N], of float32 numbers
    groups: name of each image's group, "" for an image without one; empty if no image has one

    Raises ValueError if the shapes do not match, ArtefactError if a value is not finite.
    """

    paths: tuple[str, ...]
    quantity: str
    targets: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("targets", "values"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float32).astype(np.float64))
        if not self.targets.shape == self.values.shape == (len(self.paths),):
            raise ValueError(f"{len(self.paths)} paths, targets {self.targets.shape} and values {self.values.shape}")
        if bad := int((~np.isfinite(self.values)).sum()):
            raise ArtefactError(
                f"the model returned NaN or infinite values for {bad} of {len(self.values)} images",
                "training diverged or the weights are damaged: train again with a lower learning rate",
            )

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def labels(self) -> tuple[str]:
        """The name of the number, as the only label."""
        return (self.quantity,)

    @property
    def errors(self) -> npt.NDArray[np.float64]:
        """Predicted minus true numbers, float64 [N]."""
        return self.values - self.targets

    def of(self, chosen: npt.NDArray[np.int64]) -> ValuePredictions:
        """Return the predictions of the images at `chosen`, int64 [n], in that order."""
        paths = tuple(self.paths[index] for index in chosen)
        groups = tuple(self.groups[index] for index in chosen) if self.groups else ()
        return ValuePredictions(paths, self.quantity, self.targets[chosen], self.values[chosen], groups)

    def write_csv(self, path: Path) -> None:
        """Write `predictions.csv` atomically: a row of `COLUMNS` for each image."""
        write_table(path, self._write_to)

    def write_spreadsheet(self, path: Path) -> None:
        """Write the same table for spreadsheet programs, atomically: with a byte order mark, and without formulas."""
        write_table(path, self._write_to, spreadsheet=True)

    def _write_to(self, writer: Any) -> None:
        writer.writerow(COLUMNS)
        for path, target, value in zip(self.paths, self.targets, self.values, strict=True):
            writer.writerow([path, str(np.float32(target)), str(np.float32(value))])
