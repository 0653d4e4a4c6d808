"""Fit of a run's calibration and thresholds to the answers that score it, by its task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.config.types import MULTILABEL, Task

if TYPE_CHECKING:
    import numpy as np

    from transfercli.config.schema import EvaluationConfig


def write_fitted_trust(
    path: Path,
    task: Task,
    logits: np.ndarray,
    targets: np.ndarray,
    labels: Sequence[str],
    config: EvaluationConfig,
    groups: Sequence[str] = (),
) -> None:
    """Fit `calibration.json` to logits [N, units] of images that the model did not learn from, and write it.

    targets, groups: of the N images, as in `Split`; labels: of the run.
    """
    if task == MULTILABEL:
        from transfercli.evaluation.multilabel.trust import fit_label_trust, write_label_trust

        write_label_trust(path, fit_label_trust(logits, targets, labels, config, groups))
        return
    from transfercli.evaluation.confidence.thresholds import rule_of
    from transfercli.evaluation.confidence.trust import fit_trust, write_trust

    write_trust(path, fit_trust(logits, targets, config.abstain, groups, rule_of(config.threshold)))
