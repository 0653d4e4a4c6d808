"""`runs compare`: what other runs gain on the first, on the images that both were evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from transfercli.reporting import Reporter
from transfercli.runs.output_paths import check_output_file
from transfercli.text import first_of
from transfercli.workflows.compare.comparison import CompareRequest, CompareResult, Held
from transfercli.workflows.compare.page import write_comparison_page
from transfercli.workflows.evaluate.evaluate import evaluate_run
from transfercli.workflows.evaluate.provenance import is_stale, recorded
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from transfercli.evaluation.predictions import Predictions


def compare_runs(request: CompareRequest, reporter: Reporter) -> CompareResult:
    """Compare each run with the first.

    A run that was not evaluated on the split, or whose model, calibration or images are others since, is evaluated
    first. An image whose file was another one for the other run is left out. Raises `DataError` where two have no image
    in common, and `UsageError` before any work where the report cannot be written.
    """
    if request.report is not None:
        check_output_file(request.report, "--report")
    found = [StoredRun.find(name, request.runs, reporter) for name in request.names]
    said = [_predictions(run, request, reporter) for run in found]
    held = [
        _held(found[0], run, (said[0], predictions), request, reporter)
        for run, predictions in zip(found[1:], said[1:], strict=True)
    ]
    if request.report is not None:
        write_comparison_page(request.report, held, request)
    return CompareResult(request.split, tuple(run.path for run in found), tuple(held), request.report)


def config_differences(one: StoredRun, other: StoredRun) -> list[dict[str, Any]]:
    """[{"key", "champion", "challenger"}] for every key whose resolved values differ."""
    values = [_flat(run.config.model_dump(mode="json")) for run in (one, other)]
    keys = dict.fromkeys([*values[0], *values[1]])
    return [
        {"key": key, "champion": values[0].get(key), "challenger": values[1].get(key)}
        for key in keys
        if values[0].get(key) != values[1].get(key)
    ]


def seconds_spent(one: StoredRun, other: StoredRun) -> dict[str, dict[str, float | None]]:
    """{stage: {"champion", "challenger"}}: what each took to train, None where it is not recorded."""
    spent = [run.record.seconds for run in (one, other)]
    return {
        stage: {"champion": spent[0].get(stage), "challenger": spent[1].get(stage)} for stage in spent[0] | spent[1]
    }


def only_known(champion: Sequence[str], challenger: Sequence[str]) -> dict[str, list[str]]:
    """The classes of either that the other has not, sorted."""
    return {
        "champion": sorted({*champion} - {*challenger}),
        "challenger": sorted({*challenger} - {*champion}),
    }


def _few(names: Sequence[str], most: int = 5) -> str:
    return first_of(names, most, written=repr)


def _held(
    champion: StoredRun,
    challenger: StoredRun,
    said: tuple[Predictions, Predictions],
    request: CompareRequest,
    reporter: Reporter,
) -> Held:
    from transfercli.evaluation.statistics.paired import align_predictions, compare

    same = _same_files(champion, challenger, request.split)
    before, after = align_predictions(*(each.of(same(each.paths)) for each in said))
    if lost := sum(map(len, said)) - 2 * len(before):
        reporter.warning(
            f"{lost} images that only one of {champion.label} and {challenger.label} was evaluated on are left out"
        )
    classes = only_known(said[0].labels, said[1].labels)
    for run, names in zip((champion, challenger), classes.values(), strict=True):
        if names:
            reporter.warning(f"only {run.label} knows {_few(names)}: it has more classes to mistake than the other")
    compared = compare(before, after, metric=request.metric, confidence=request.confidence)
    config, seconds = config_differences(champion, challenger), seconds_spent(champion, challenger)
    return Held(champion, challenger, before, after, compared, config, seconds, classes)


def _predictions(run: StoredRun, request: CompareRequest, reporter: Reporter) -> Predictions:
    from transfercli.evaluation.predictions import Predictions

    if is_stale(run.folder, request.split):
        reporter.info(f"{run.label} was not evaluated on {request.split} as it is now: evaluating it")
        evaluate_run(EvaluateRequest(str(run.path), request.runs, request.split), reporter)
    return Predictions.read_csv(run.folder.evaluation(request.split) / "predictions.csv")


def _same_files(one: StoredRun, other: StoredRun, split: str) -> Callable[[Sequence[str]], NDArray[np.int64]]:
    """Picks, of paths, the places of those that name no different files in the records of two runs."""
    import numpy as np

    first, second = recorded(one.folder, split), recorded(other.folder, split)
    changed = {path for path in first.keys() & second.keys() if first[path] != second[path]}
    return lambda paths: np.array([place for place, path in enumerate(paths) if path not in changed], np.int64)


def _flat(value: Any, path: Sequence[str] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {".".join(path): value}
    return {key: leaf for name, part in value.items() for key, leaf in _flat(part, (*path, str(name))).items()}
