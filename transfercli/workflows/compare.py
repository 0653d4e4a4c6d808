"""`runs compare`: what other runs gain on the first, on the images that both were evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.events import Events
from transfercli.runs.folder import RunFolder, find_run, read_record
from transfercli.workflows.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.model import read_run_config
from transfercli.workflows.origin import is_stale, recorded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from transfercli.evaluation.predictions import Predictions


@dataclass(frozen=True)
class CompareRequest:
    """names: runs as typed, the first is what the others are compared with; metric: the one that decides."""

    names: tuple[str, ...]
    runs: Path
    split: str = "test"
    metric: str = "accuracy"
    confidence: float = 0.95


def compare_runs(request: CompareRequest, events: Events) -> dict[str, Any]:
    """{"split", "runs", "comparisons": [one object for each run but the first]}.

    A run that was not evaluated on the split, or whose model, calibration or images are others since, is evaluated
    first. An image whose file was another one for the other run is left out. Raises `DataError` where two have no image
    in common.
    """
    from transfercli.evaluation.compare import compare, paired

    found = [find_run(name, request.runs) for name in request.names]
    said = [_predictions(run, request, events) for run in found]
    comparisons = []
    for run, predictions in zip(found[1:], said[1:], strict=True):
        same = _same_files(found[0], run, request.split)
        one, other = paired(*(each.of(same(each.paths)) for each in (said[0], predictions)))
        if lost := len(said[0]) + len(predictions) - 2 * len(one):
            events.warn(
                f"{lost} images that only one of {found[0].label} and {run.label} was evaluated on are left out"
            )
        result = compare(one, other, metric=request.metric, confidence=request.confidence)
        comparisons.append(
            {
                "champion": str(found[0].path),
                "challenger": str(run.path),
                **result.as_json(),
                "config": config_differences(found[0], run),
                "seconds": _seconds(found[0], run),
            }
        )
    return {"split": request.split, "runs": [str(run.path) for run in found], "comparisons": comparisons}


def config_differences(one: RunFolder, other: RunFolder) -> list[dict[str, Any]]:
    """[{"key", "champion", "challenger"}] for every key whose resolved values differ."""
    values = [_flat(read_run_config(run).model_dump(mode="json")) for run in (one, other)]
    keys = dict.fromkeys([*values[0], *values[1]])
    return [
        {"key": key, "champion": values[0].get(key), "challenger": values[1].get(key)}
        for key in keys
        if values[0].get(key) != values[1].get(key)
    ]


def _predictions(run: RunFolder, request: CompareRequest, events: Events) -> Predictions:
    from transfercli.evaluation.predictions import Predictions

    if is_stale(run, request.split):
        events.info(f"{run.label} was not evaluated on {request.split} as it is now: evaluating it")
        evaluate_run(EvaluateRequest(str(run.path), request.runs, request.split), events)
    return Predictions.read_csv(run.evaluation(request.split) / "predictions.csv")


def _same_files(one: RunFolder, other: RunFolder, split: str) -> Callable[[Sequence[str]], NDArray[np.int64]]:
    """Picks, of paths, the places of those that name no different files in the records of two runs."""
    import numpy as np

    first, second = recorded(one, split), recorded(other, split)
    changed = {path for path in first.keys() & second.keys() if first[path] != second[path]}
    return lambda paths: np.array([place for place, path in enumerate(paths) if path not in changed], np.int64)


def _flat(value: Any, path: Sequence[str] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {".".join(path): value}
    return {key: leaf for name, part in value.items() for key, leaf in _flat(part, (*path, str(name))).items()}


def _seconds(one: RunFolder, other: RunFolder) -> dict[str, Any]:
    spent = [read_record(run).get("seconds") or {} for run in (one, other)]
    return {
        stage: {"champion": spent[0].get(stage), "challenger": spent[1].get(stage)} for stage in spent[0] | spent[1]
    }
