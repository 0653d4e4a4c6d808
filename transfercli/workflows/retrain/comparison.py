"""Champion and challenger on the same test images, none of which either of them has ever learnt from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.data.load import load_recorded_split
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.workflows.evaluate.evaluate import evaluate_split
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.lineage import learnt_from
from transfercli.workflows.retrain.latency import latencies
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Record, Split
    from transfercli.evaluation.predictions import Predictions
    from transfercli.evaluation.result import Evaluation
    from transfercli.evaluation.statistics.paired import Comparison


@dataclass(frozen=True)
class Held:
    """What a contest brought out.

    comparison: None without a champion; failed: each gate that the challenger misses, told; facts: for the log.
    """

    comparison: Comparison | None
    failed: list[str]
    facts: dict[str, Any] = field(default_factory=dict)


def hold_contest(champion: StoredRun | None, challenger: StoredRun, reporter: Reporter) -> Held:
    """Score both on the test images of the challenger's data, and hold the challenger to its gates.

    Raises `DataError` where no honest test image is left.
    """
    from transfercli.evaluation.gates import from_config
    from transfercli.evaluation.statistics.paired import align_predictions
    from transfercli.evaluation.statistics.promotion import compare_for_promotion, comparison_record

    records, left_out = locked_test(champion, challenger, reporter)
    rule = challenger.config.retrain.promote
    gates = from_config(challenger.config.evaluation.gates, challenger.labels)
    request = EvaluateRequest(challenger.label, challenger.path.parent.parent)
    split = test_split(challenger, challenger, records, challenger.labels)
    evaluation, predictions = evaluate_split(challenger, split, gates, request, reporter)
    facts: dict[str, Any] = {"gates": evaluation.gates, "test": {"images": len(records), "left_out": left_out}}
    failed = [*missed_gates(evaluation), *missed_floor(evaluation, rule.per_class_floor)]
    if champion is None:
        return Held(None, failed, facts)
    known = challenger.labels + tuple(label for label in champion.labels if label not in challenger.labels)
    theirs = predict(champion, test_split(champion, challenger, records, known))
    found = compare_for_promotion(
        *align_predictions(theirs, predictions), rule.metric, rule.confidence, challenger.config.seed
    )
    facts["comparison"] = comparison_record(found)
    if rule.max_latency_ratio is not None:
        facts["latency"] = latency = slowness(champion, challenger)
        failed += missed_latency(latency["ratio"], rule.max_latency_ratio)
    return Held(found, failed, facts)


def locked_test(champion: StoredRun | None, challenger: StoredRun, reporter: Reporter) -> tuple[list[Record], int]:
    """The challenger's test images that no ancestor of either has learnt from, and how many others there are."""
    tested = [one for one in challenger.images if one.split == "test" and not one.problem]
    learnt = learnt_from(challenger, *([champion] if champion else []), reporter=reporter)
    honest = [one for one in tested if not learnt.has(one.sha256)]
    if not honest:
        reason = "the models have learnt from each of them" if tested else "there are none"
        raise DataError(f"no test image to compare models on: {reason}", "set data.test, or add images to it")
    left_out = len(tested) - len(honest)
    if left_out:
        anew = sum(learnt.has_copy(one.sha256) for one in tested)
        copies = f" ({anew} in another file with the same pixels)" if anew else ""
        told = f"{counted(left_out, 'test image')} left out: one of the two, or an ancestor, learnt from them{copies}"
        reporter.warning(told)
    return honest, left_out


def test_split(model: StoredRun, data: StoredRun, records: Sequence[Record], labels: tuple[str, ...]) -> Split:
    """The test images of one run as another run's model wants to see them; targets index `labels`."""
    return load_recorded_split(records, data.config.data.train, "test", labels, model.reading)


def predict(run: StoredRun, split: Split) -> Predictions:
    """What a model says of images whose targets may be classes that it does not know; labels are the split's."""
    from transfercli.evaluation.predictions import Predictions

    found = run.probabilities(split)
    wide = np.zeros((len(split), len(split.labels)))
    wide[:, [split.labels.index(label) for label in run.labels]] = found
    return Predictions(split.paths, split.labels, split.targets, wide)


def missed_gates(evaluation: Evaluation) -> Iterator[str]:
    for gate in evaluation.gates:
        if not gate["passed"]:
            value = "not defined" if gate["value"] is None else f"{gate['value']:.4f}"
            yield f"{gate['metric']} is {value}, wanted {gate['op']} {gate['bound']:g}"


def missed_floor(evaluation: Evaluation, floor: float | None) -> Iterator[str]:
    """Classes with test images whose recall is below `retrain.promote.per_class_floor`."""
    for row in evaluation.per_class:
        if floor is not None and row["support"] and row["recall"] < floor:
            yield f"recall[{row['label']}] is {row['recall']:.4f}, wanted >= {floor:g} (per_class_floor)"


def slowness(champion: StoredRun, challenger: StoredRun) -> dict[str, float]:
    """Milliseconds an image, and the challenger's in times of the champion's."""
    old, new = latencies(champion, challenger)
    return {"champion_ms": round(old, 3), "challenger_ms": round(new, 3), "ratio": round(new / old, 3)}


def missed_latency(ratio: float, most: float) -> Iterator[str]:
    if ratio > most:
        yield f"an image takes {ratio:g} times what it takes the champion, wanted <= {most:g} (max_latency_ratio)"
