"""Workflow of `runs compare`: each run against the first, on the images that both were evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transfercli.data.sources.groups import is_expression, matched_group
from transfercli.data.sources.table_format import TableFormat
from transfercli.reporting import Reporter
from transfercli.runs.output_paths import check_output_file
from transfercli.text import first_of
from transfercli.workflows.compare.comparison import CompareRequest, CompareResult, PairComparison
from transfercli.workflows.compare.learnt import images_not_learnt
from transfercli.workflows.compare.page import write_comparison_page
from transfercli.workflows.evaluate.evaluate import evaluate_run
from transfercli.workflows.evaluate.provenance import is_stale, recorded_hashes
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from transfercli.evaluation.predictions import Predictions


def compare_runs(request: CompareRequest, reporter: Reporter) -> CompareResult:
    """Compare each run with the first.

    A run whose evaluation on the split is missing or out of date is evaluated first. An image is left out if its path
    was a different file for the other run. Raises `DataError` if two runs have no image in common, and `UsageError`
    before any work if the report cannot be written.
    """
    if request.report is not None:
        check_output_file(request.report, "--report")
    champion, *challengers = [StoredRun.find(name, request.runs, reporter) for name in request.names]
    first, *others = [_predictions(run, request, reporter) for run in (champion, *challengers)]
    comparisons = [
        _compare_pair(champion, challenger, (first, predictions), request, reporter)
        for challenger, predictions in zip(challengers, others, strict=True)
    ]
    if request.report is not None:
        write_comparison_page(request.report, comparisons, request)
    return CompareResult(
        request.split, tuple(run.path for run in (champion, *challengers)), tuple(comparisons), request.report
    )


def config_differences(champion: StoredRun, challenger: StoredRun) -> list[dict[str, Any]]:
    """Return [{"key", "champion", "challenger"}] for every key whose resolved values differ."""
    first, other = (run.config.model_dump(mode="json") for run in (champion, challenger))
    return list(_differences(first, other))


def _differences(first: Any, other: Any, path: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """Yield the keys below `path` that differ; a mapping in place of a single value is one difference."""
    if isinstance(first, dict) and isinstance(other, dict):
        for name in dict.fromkeys([*first, *other]):
            yield from _differences(first.get(name), other.get(name), (*path, str(name)))
    elif first != other:
        yield {"key": ".".join(path), "champion": _set_keys(first), "challenger": _set_keys(other)}


def _set_keys(value: Any) -> Any:
    """Return a mapping without the keys that are null, such as `{run: RUN}`; any other value as it is."""
    return {key: entry for key, entry in value.items() if entry is not None} if isinstance(value, dict) else value


def seconds_spent(champion: StoredRun, challenger: StoredRun) -> dict[str, dict[str, float | None]]:
    """Return {stage of the command: {"champion", "challenger"}}, seconds of training; None if not recorded."""
    seconds = [run.record.seconds for run in (champion, challenger)]
    return {
        stage: {"champion": seconds[0].get(stage), "challenger": seconds[1].get(stage)}
        for stage in seconds[0] | seconds[1]
    }


def only_known(champion: Sequence[str], challenger: Sequence[str]) -> dict[str, list[str]]:
    """Return the classes of each run that the other does not have, sorted."""
    return {
        "champion": sorted({*champion} - {*challenger}),
        "challenger": sorted({*challenger} - {*champion}),
    }


def _first_names(names: Sequence[str], most: int = 5) -> str:
    return first_of(names, most, written=repr)


def _compare_pair(
    champion: StoredRun,
    challenger: StoredRun,
    predictions: tuple[Predictions, Predictions],
    request: CompareRequest,
    reporter: Reporter,
) -> PairComparison:
    from transfercli.evaluation.statistics.paired import align_predictions, compare

    same_files = _indices_of_same_files(champion, challenger, request.split)
    before, after = align_predictions(*(each.of(same_files(each.paths)) for each in predictions))
    if lost := sum(map(len, predictions)) - 2 * len(before):
        reporter.warning(
            f"{lost} images that only one of {champion.label} and {challenger.label} was evaluated on are left out"
        )
    unknown = images_not_learnt((champion, challenger), before.paths, request.split, reporter)
    left_out = len(before) - len(unknown)
    before, after = before.of(unknown), after.of(unknown)
    classes = only_known(predictions[0].labels, predictions[1].labels)
    for run, names in zip((champion, challenger), classes.values(), strict=True):
        if names:
            reporter.warning(
                f"only {run.label} has {_first_names(names)}: it can confuse more classes than the other run"
            )
    comparison = compare(before, after, metric=request.metric, confidence=request.confidence)
    config, seconds = config_differences(champion, challenger), seconds_spent(champion, challenger)
    return PairComparison(champion, challenger, before, after, comparison, config, seconds, classes, left_out)


def _predictions(run: StoredRun, request: CompareRequest, reporter: Reporter) -> Predictions:
    from transfercli.evaluation.predictions import Predictions

    if is_stale(run.folder, request.split):
        reporter.info(f"{run.label} has no up-to-date evaluation on {request.split}: evaluating it")
        evaluate_run(EvaluateRequest(str(run.path), request.runs, request.split), reporter)
    predictions = Predictions.read_csv(run.folder.evaluation(request.split) / "predictions.csv")
    groups = _groups(run, request.split, predictions.paths)
    return replace(predictions, groups=groups if any(groups) else ())


def _groups(run: StoredRun, split: str, paths: Sequence[str]) -> tuple[str, ...]:
    """Return the group of each image: as recorded, or for other images by the run's regular expression."""
    own = {record.path: record.group for record in run.images if record.split == split}
    group = TableFormat.of(run.config.data).group
    if own or group is None or not is_expression(group, run.images):
        return tuple(own.get(path, "") for path in paths)
    return tuple(matched_group(group, path) for path in paths)


def _indices_of_same_files(
    champion: StoredRun, challenger: StoredRun, split: str
) -> Callable[[Sequence[str]], NDArray[np.int64]]:
    """Return a function from paths to the indices of those that are not a different file for each of two runs."""
    import numpy as np

    first, second = recorded_hashes(champion.folder, split), recorded_hashes(challenger.folder, split)
    changed = {path for path in first.keys() & second.keys() if first[path] != second[path]}
    return lambda paths: np.array([index for index, path in enumerate(paths) if path not in changed], np.int64)
