"""Comparison of champion and challenger on the same test images, without those that either was trained on."""

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
class ChallengerResult:
    """Result of the evaluation of a challenger and of its comparison with the champion.

    Attributes:
        comparison: None without a champion.
        failed: a description of each gate that the challenger does not meet.
        facts: values for the log of decisions.
    """

    comparison: Comparison | None
    failed: list[str]
    facts: dict[str, Any] = field(default_factory=dict)


def compare_on_test_images(champion: StoredRun | None, challenger: StoredRun, reporter: Reporter) -> ChallengerResult:
    """Evaluate both on the test images of the challenger's data, and check the challenger's gates.

    Raises `DataError` if each test image was used to train one of them.
    """
    from transfercli.evaluation.gates import from_config
    from transfercli.evaluation.statistics.paired import align_predictions
    from transfercli.evaluation.statistics.promotion import compare_for_promotion, comparison_record

    records, left_out = honest_test_images(champion, challenger, reporter)
    rule = challenger.config.retrain.promote
    gates = from_config(challenger.config.evaluation.gates, challenger.labels)
    request = EvaluateRequest(challenger.label, challenger.path.parent.parent)
    split = test_split(challenger, challenger, records, challenger.labels)
    evaluation, predictions = evaluate_split(challenger, split, gates, request, reporter)
    facts: dict[str, Any] = {
        "gates": evaluation.gates,
        "test": {"images": len(records), "left_out": left_out, "groups": evaluation.groups},
    }
    failed = [*failed_gates(evaluation), *failed_recalls(evaluation, rule.per_class_floor)]
    if champion is None:
        return ChallengerResult(None, failed, facts)
    labels = challenger.labels + tuple(label for label in champion.labels if label not in challenger.labels)
    champion_predictions = predict(champion, test_split(champion, challenger, records, labels))
    aligned = align_predictions(champion_predictions, predictions)
    compared = compare_for_promotion(*aligned, rule.metric, rule.confidence, challenger.config.seed)
    facts["comparison"] = comparison_record(compared)
    if rule.max_latency_ratio is not None:
        facts["latency"] = latency = compare_latencies(champion, challenger)
        failed += failed_latency(latency["ratio"], rule.max_latency_ratio)
    return ChallengerResult(compared, failed, facts)


def honest_test_images(
    champion: StoredRun | None, challenger: StoredRun, reporter: Reporter
) -> tuple[list[Record], int]:
    """Return the challenger's test images that neither model learnt from, and the number of the other test images.

    A model learnt from an image if the run or one of its ancestors trained on it, or chose an epoch by it. Raises
    `DataError` if no image is left.
    """
    images = [image for image in challenger.images if image.split == "test" and not image.problem]
    learnt = learnt_from(challenger, *([champion] if champion else []), reporter=reporter)
    honest = [image for image in images if not learnt.has(image.sha256)]
    if not honest:
        reason = "champion or challenger learnt from each of them" if images else "there are none"
        raise DataError(f"no test image to compare models on: {reason}", "set data.test, or add images to it")
    left_out = len(images) - len(honest)
    if left_out:
        copies = sum(learnt.has_copy(image.sha256) for image in images)
        in_other_files = f" ({copies} in another file with the same pixels)" if copies else ""
        reporter.warning(
            f"{counted(left_out, 'test image')} left out: the champion, the challenger or one of their ancestors"
            f" learnt from them{in_other_files}"
        )
    return honest, left_out


def test_split(model: StoredRun, data: StoredRun, records: Sequence[Record], labels: tuple[str, ...]) -> Split:
    """Return test images of the run `data`, read at the size that `model` takes; targets index `labels`."""
    return load_recorded_split(records, data.config.data.train, "test", labels, model.reading)


def predict(run: StoredRun, split: Split) -> Predictions:
    """Return predictions float64 [N, C] over the split's C classes; a class that the run does not have gets 0."""
    from transfercli.evaluation.predictions import Predictions

    probabilities = np.zeros((len(split), len(split.labels)))
    probabilities[:, [split.labels.index(label) for label in run.labels]] = run.probabilities(split)
    return Predictions(split.paths, split.labels, split.targets, probabilities, split.groups)


def failed_gates(evaluation: Evaluation) -> Iterator[str]:
    """Yield a description of each gate that is not met."""
    for gate in evaluation.gates:
        if not gate["passed"]:
            value = "not defined" if gate["value"] is None else f"{gate['value']:.4f}"
            yield f"{gate['metric']} is {value}, required {gate['op']} {gate['bound']:g}"


def failed_recalls(evaluation: Evaluation, floor: float | None) -> Iterator[str]:
    """Yield a description of each class with test images whose recall is below `per_class_floor`."""
    for row in evaluation.per_class:
        if floor is not None and row["support"] and row["recall"] < floor:
            yield f"recall[{row['label']}] is {row['recall']:.4f}, required >= {floor:g} (per_class_floor)"


def compare_latencies(champion: StoredRun, challenger: StoredRun) -> dict[str, float]:
    """Return the milliseconds per image of both, and the ratio challenger / champion."""
    old, new = latencies(champion, challenger)
    return {"champion_ms": round(old, 3), "challenger_ms": round(new, 3), "ratio": round(new / old, 3)}


def failed_latency(ratio: float, maximum: float) -> Iterator[str]:
    """Yield a description if the ratio of latencies is above `max_latency_ratio`."""
    if ratio > maximum:
        yield f"the latency is {ratio:g} times the champion's, required <= {maximum:g} (max_latency_ratio)"
