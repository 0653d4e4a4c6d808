"""Workflow of `runs compare`: each run against the first, on the images that both were evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transfercli.config.differing_keys import all_keys, differing_keys, names_by_difference, short_names
from transfercli.reporting import Reporter
from transfercli.runs.champions import champion_of
from transfercli.runs.output_paths import check_output_file
from transfercli.text import first_of
from transfercli.workflows.answers import check_same_task, metric_of_task
from transfercli.workflows.compare.answers import Answers, answers_of
from transfercli.workflows.compare.comparison import ComparedRun, CompareRequest, CompareResult, PairComparison
from transfercli.workflows.compare.learnt import images_not_learnt
from transfercli.workflows.compare.named_runs import find_runs
from transfercli.workflows.compare.page import write_comparison_page
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SWAPS = 2000  # for each comparison, of the permutation test: enough for p-values that survive the correction


def compare_runs(request: CompareRequest, reporter: Reporter) -> CompareResult:
    """Compare each run with the first; the verdicts of several comparisons are corrected for their number.

    A run whose evaluation on the split is missing or out of date is evaluated first. An image is left out if its path
    was a different file for the other run. Raises `DataError` if two runs have no image in common, and `UsageError`
    before any work if the report cannot be written, or if the runs or the metric are of different tasks.
    """
    if request.report is not None:
        check_output_file(request.report, "--report")
    runs = find_runs(request.names, request.runs, reporter)
    for run in runs:
        refuse_numbers(run.config.task, "runs compare")
    check_same_task(runs, "runs compare")
    request = replace(request, metric=metric_of_task(request.metric, runs[0]))
    first, *others = [answers_of(run, request, reporter) for run in runs]
    comparisons = _adjusted([_compare_pair(first, other, request, reporter) for other in others], request)
    configs = [run.config.model_dump(mode="json") for run in runs]
    keys = short_names(differing_keys(configs), all_keys(configs))
    named = [
        ComparedRun(run.path, name, is_champion=_is_champion(run))
        for run, name in zip(runs, names_by_difference(configs), strict=True)
    ]
    result = CompareResult(request.split, tuple(named), tuple(comparisons), keys, request.report, request.details)
    if request.report is not None:
        write_comparison_page(request.report, result, request)
    return result


def _is_champion(run: StoredRun) -> bool:
    champion = champion_of(run.path.parent)
    return champion is not None and champion.run_id == run.folder.run_id


def _adjusted(pairs: Sequence[PairComparison], request: CompareRequest) -> list[PairComparison]:
    from transfercli.evaluation.statistics.exact_tests import MOST_SWAPS, difference_p_value
    from transfercli.evaluation.statistics.multiple_comparisons import adjust

    most = min(MOST_SWAPS, SWAPS * len(pairs) - 1)
    p_values = [difference_p_value(pair.before, pair.after, request.decisive, 0, most) for pair in pairs]
    adjusted = adjust([pair.comparison for pair in pairs], p_values)
    return [replace(pair, adjusted=each) for pair, each in zip(pairs, adjusted, strict=True)]


def config_differences(champion: StoredRun, challenger: StoredRun) -> list[dict[str, Any]]:
    """Return [{"key", "champion", "challenger"}] for every key whose resolved values differ."""
    differing = differing_keys([run.config.model_dump(mode="json") for run in (champion, challenger)])
    return [{"key": key, "champion": first, "challenger": other} for key, (first, other) in differing.items()]


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


def _compare_pair(first: Answers, other: Answers, request: CompareRequest, reporter: Reporter) -> PairComparison:
    from transfercli.evaluation.statistics.paired import align_predictions, compare

    champion, challenger = first.run, other.run
    same_files = _indices_of_same_files(first.hashes, other.hashes)
    predictions = (first.predictions, other.predictions)
    before, after = align_predictions(*(each.of(same_files(each.paths)) for each in predictions))
    if lost := sum(map(len, predictions)) - 2 * len(before):
        reporter.warning(
            f"{lost} images that only one of {champion.label} and {challenger.label} was evaluated on are left out"
        )
    unknown = images_not_learnt((first, other), before.paths, request.split, reporter)
    left_out = len(before) - len(unknown)
    before, after = before.of(unknown), after.of(unknown)
    classes = only_known(predictions[0].labels, predictions[1].labels)
    for run, names in zip((champion, challenger), classes.values(), strict=True):
        if names:
            reporter.warning(
                f"only {run.label} has {_first_names(names)}: it can confuse more classes than the other run"
            )
    comparison = compare(before, after, metric=request.decisive, confidence=request.confidence)
    config, seconds = config_differences(champion, challenger), seconds_spent(champion, challenger)
    return PairComparison(champion, challenger, before, after, comparison, config, seconds, classes, left_out)


def _indices_of_same_files(
    first: dict[str, str], second: dict[str, str]
) -> Callable[[Sequence[str]], NDArray[np.int64]]:
    """Return a function from paths to the indices of those that are not a different file for each of two runs.

    first, second: SHA-256 by path.
    """
    import numpy as np

    changed = {path for path in first.keys() & second.keys() if first[path] != second[path]}
    return lambda paths: np.array([index for index, path in enumerate(paths) if path not in changed], np.int64)
