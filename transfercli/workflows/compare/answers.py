"""Answers of a run that a comparison is made on: those that score it, or those of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from transfercli.data.sources.groups import is_expression, matched_group
from transfercli.data.sources.table_format import TableFormat
from transfercli.reporting import Reporter
from transfercli.workflows.answers import held_out_predictions, read_predictions
from transfercli.workflows.compare.comparison import CompareRequest
from transfercli.workflows.evaluate.evaluate import evaluate_run
from transfercli.workflows.evaluate.provenance import is_stale, recorded_hashes
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.evaluation.held_out import HeldOutAnswers
    from transfercli.evaluation.scoring import Predicted


@dataclass(frozen=True, eq=False)
class Answers:
    """Predictions of a run.

    hashes: SHA-256 by path, of the run's own images among those that may be compared. out_of_fold: each image was
    predicted by weights that did not learn from it, although the run's model learnt from all in the end.
    """

    run: StoredRun
    predictions: Predicted
    hashes: dict[str, str]
    out_of_fold: bool = False


def answers_of(run: StoredRun, request: CompareRequest, reporter: Reporter) -> Answers:
    """Return a run's answers on the split of a comparison.

    On validation they are those that score the run, without a forward pass; for a run whose head was solved on its
    validation images in the end they are out of fold, of training and validation images. Otherwise, and if an earlier
    version trained the run, they are of the evaluation, which is made if it is missing or out of date.
    """
    if request.split == "validation" and run.status == "completed" and run.held_out is not None:
        return _scoring(run, run.held_out)
    if is_stale(run.folder, request.split):
        reporter.info(f"{run.label} has no up-to-date evaluation on {request.split}: evaluating it")
        evaluate_run(EvaluateRequest(str(run.path), request.runs, request.split), reporter)
    predictions = read_predictions(run, run.folder.evaluation(request.split) / "predictions.csv")
    groups = _groups(run, (request.split,), predictions.paths)
    return Answers(run, _grouped(predictions, groups), recorded_hashes(run.folder, request.split))


def compared_splits(run: StoredRun, split: str) -> tuple[str, ...]:
    """Return the splits of a run's own images that its answers on the split of a comparison may be of."""
    return ("train", "validation") if split == "validation" and run.record.refitted else (split,)


def _scoring(run: StoredRun, held_out: HeldOutAnswers) -> Answers:
    splits = compared_splits(run, "validation")
    predictions = held_out_predictions(run, held_out)
    hashes = {image.path: image.sha256 for image in run.images if image.split in splits}
    groups = _groups(run, splits, predictions.paths)
    return Answers(run, _grouped(predictions, groups), hashes, out_of_fold=run.record.refitted)


def _grouped(predictions: Predicted, groups: tuple[str, ...]) -> Predicted:
    return replace(predictions, groups=groups if any(groups) else ())


def _groups(run: StoredRun, splits: Sequence[str], paths: Sequence[str]) -> tuple[str, ...]:
    """Return the group of each image: as recorded, or for other images by the run's regular expression."""
    own = {record.path: record.group for record in run.images if record.split in splits}
    group = TableFormat.of(run.config.data).group
    if own or group is None or not is_expression(group, run.images):
        return tuple(own.get(path, "") for path in paths)
    return tuple(matched_group(group, path) for path in paths)
