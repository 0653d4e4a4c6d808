"""Conformal scores of a stored run, from its calibration or from an evaluation of its validation images."""

from __future__ import annotations

from transfercli.evaluation.confidence.conformal import ConformalScores, conformal_scores
from transfercli.evaluation.predictions import Predictions
from transfercli.workflows.evaluate.provenance import is_stale
from transfercli.workflows.stored_run import StoredRun

VALIDATION = "validation"


def scores_of_run(run: StoredRun) -> ConformalScores | None:
    """Return the conformal scores of a run.

    None if it is of an earlier version and has no such evaluation, or if an image may have several labels.
    """
    if run.several:
        return None
    trust = run.stored_trust
    if trust is not None and trust.conformal is not None:
        return trust.conformal
    if is_stale(run.folder, VALIDATION):
        return None
    predictions = Predictions.read_csv(run.folder.evaluation(VALIDATION) / "predictions.csv")
    if predictions.labels != run.labels or not len(predictions):
        return None
    return conformal_scores(predictions.probabilities, predictions.targets, run.groups_of(predictions.paths))
