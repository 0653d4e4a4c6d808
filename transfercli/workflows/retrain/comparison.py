"""Comparison of champion and challenger on the same test images, without those that either was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.data.clusters import count_clusters
from transfercli.data.load import load_recorded_split
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.runs.decisions import Decision
from transfercli.text import counted, decimal
from transfercli.workflows.answers import evaluate_answers, predict_split
from transfercli.workflows.evaluate.evaluate import evaluate_split
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.known_images import not_learnt
from transfercli.workflows.learnt_images import learnt_records
from transfercli.workflows.lineage import learnt_from
from transfercli.workflows.retrain.audit import Audit, audit_of, divide_test_images
from transfercli.workflows.retrain.latency import latencies
from transfercli.workflows.retrain.lifetime import spend
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Record, Split
    from transfercli.evaluation.result import Evaluation
    from transfercli.evaluation.scoring import Predicted
    from transfercli.evaluation.statistics.alpha_spending import Evidence, NightLimit
    from transfercli.evaluation.statistics.paired import Comparison


@dataclass(frozen=True)
class ChallengerResult:
    """Result of the evaluation of a challenger and of its comparison with the champion.

    Attributes:
        comparison: on the deciding images; None without a champion.
        failed: a description of each gate that the challenger does not meet.
        facts: values for the log of decisions.
        records: the test images that were compared.
        predictions: of the champion and of the challenger, of the same images; empty without a champion.
        audit: numbers of both on the audit images; None if the config has no audit.
        limit: what the decision may spend; None without a champion, and if every night counts alone.
        p_value: of the challenger's gain.
    """

    comparison: Comparison | None
    failed: list[str]
    facts: dict[str, Any] = field(default_factory=dict)
    records: Sequence[Record] = ()
    predictions: tuple[Predicted, ...] = ()
    audit: Audit | None = None
    limit: NightLimit | None = None
    p_value: float = 1.0

    def final_facts(self, *, promoted: bool) -> dict[str, Any]:
        """Return the facts with those that depend on the decision."""
        facts = dict(self.facts)
        if self.limit is not None:
            facts["comparison"] = {**facts["comparison"], "lifetime": self.limit.record(self.p_value, promoted)}
        return facts | ({"audit": self.audit.as_json(promoted)} if self.audit else {})


def compare_on_test_images(
    champion: StoredRun | None, challenger: StoredRun, log: Sequence[Decision], reporter: Reporter
) -> ChallengerResult:
    """Evaluate both on the test images of the challenger's data, and check the challenger's gates.

    Gates and the comparison are on the deciding images. log: all earlier decisions. Raises `DataError` if each test
    image was used to train one of the models.
    """
    from transfercli.evaluation.gates import from_config
    from transfercli.evaluation.statistics.alpha_spending import swaps_for
    from transfercli.evaluation.statistics.exact_tests import gain_p_value
    from transfercli.evaluation.statistics.paired import align_predictions
    from transfercli.evaluation.statistics.promotion import compare_for_promotion, comparison_record

    records, left_out = honest_test_images(champion, challenger, reporter)
    images = divide_test_images(challenger, records, log, reporter)
    config, rule = challenger.config, challenger.config.retrain.promote
    limit = None
    if champion is not None:
        evidence = validation_evidence(champion, challenger) if rule.lifetime_confidence is not None else None
        limit = spend(challenger, images, evidence, log, reporter)
    gates = from_config(config.evaluation.gates, challenger.labels, config.task)
    request = EvaluateRequest(challenger.label, challenger.path.parent.parent)
    split = recorded_split(challenger, challenger, records, challenger.labels, "test")
    evaluation, predictions = evaluate_split(challenger, split, gates, request, reporter)
    deciding = np.array(images.deciding)
    if images.audit:
        evaluation = evaluate_answers(predictions.of(deciding), gates=gates, seed=config.seed)
    facts: dict[str, Any] = {
        "gates": evaluation.gates,
        "test": {"images": len(records), "left_out": left_out, "groups": count_clusters(predictions.groups)},
    }
    failed = [*failed_gates(evaluation), *failed_recalls(evaluation, rule.per_class_floor)]
    figure = _figure(rule.metric, evaluation.metrics, evaluation.intervals)
    facts["figures"] = figures = {"metric": rule.metric, "images": len(deciding), "challenger": figure}
    if champion is None:
        return ChallengerResult(None, failed, facts, records, audit=audit_of(images, None, predictions, config))
    of_champion = predict_split(
        champion, recorded_split(champion, challenger, records, _labels(champion, challenger), "test")
    )
    aligned = align_predictions(of_champion, predictions)
    old, new = (model.of(deciding) for model in aligned)
    compared = compare_for_promotion(old, new, rule.metric, rule.confidence, config.seed)
    facts["comparison"] = comparison_record(compared)
    figures["champion"] = champion_figure(old, compared, config.seed)
    if rule.max_latency_ratio is not None:
        facts["latency"] = latency = compare_latencies(champion, challenger)
        failed += failed_latency(latency["ratio"], rule.max_latency_ratio)
    p_value = gain_p_value(old, new, rule.metric, config.seed, swaps_for(limit.level)) if limit else 1.0
    audit = audit_of(images, *aligned, config)
    return ChallengerResult(compared, failed, facts, records, aligned, audit, limit, p_value)


def champion_figure(predictions: Predicted, compared: Comparison, seed: int) -> dict[str, Any]:
    """Return the champion's value of the decisive metric, and its 95% interval or None."""
    bounds = evaluate_answers(predictions, shown=(compared.metric,), seed=seed).intervals
    return _figure(compared.metric, {compared.metric: compared.decisive.champion}, bounds)


def _figure(
    metric: str, values: Mapping[str, float | None], bounds: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    return {"value": values[metric], "interval": list(bounds[metric]) if metric in bounds else None}


def _labels(champion: StoredRun, challenger: StoredRun) -> tuple[str, ...]:
    """Return the classes of the challenger, then those that only the champion has."""
    return challenger.labels + tuple(label for label in champion.labels if label not in challenger.labels)


def validation_evidence(champion: StoredRun, challenger: StoredRun) -> Evidence:
    """Compare both on the validation images that both have and neither trained on; without any there is no evidence."""
    from transfercli.evaluation.statistics.alpha_spending import Evidence, evidence_of
    from transfercli.evaluation.statistics.paired import align_predictions

    held_out = {image.sha256 for image in champion.images if image.split == "validation"}
    trained = {image.sha256 for run in (champion, challenger) for image in learnt_records(run, ("train",))}
    records = [
        image
        for image in challenger.images
        if image.split == "validation" and not image.problem and image.sha256 in held_out - trained
    ]
    if not records:
        return Evidence()
    labels, config = _labels(champion, challenger), challenger.config
    predicted = [
        predict_split(run, recorded_split(run, challenger, records, labels, "validation"))
        for run in (champion, challenger)
    ]
    return evidence_of(*align_predictions(*predicted), config.retrain.promote.metric, config.seed)


def honest_test_images(
    champion: StoredRun | None, challenger: StoredRun, reporter: Reporter
) -> tuple[list[Record], int]:
    """Return the challenger's test images that neither model learnt from, and the number of the other test images.

    A model learnt from an image if the run or one of its ancestors trained on it, or chose an epoch by it. Raises
    `DataError` if no image is left.
    """
    images = [image for image in challenger.images if image.split == "test" and not image.problem]
    learnt = learnt_from(challenger, *([champion] if champion else []), reporter=reporter)
    honest = not_learnt(challenger, images, learnt)
    if not honest:
        reason = "champion or challenger learnt from each of them" if images else "there are none"
        raise DataError(f"no test image to compare models on: {reason}", "set data.test, or add images to it")
    left_out = len(images) - len(honest)
    if left_out:
        copies = sum(learnt.has_copy(image.sha256) for image in images)
        changed = left_out - sum(learnt.has(image.sha256) for image in images)
        found = [f"{copies} in another file with the same pixels"] if copies else []
        found += [f"{changed} from a re-encoded or resized copy"] if changed else []
        in_other_files = f" ({', '.join(found)})" if found else ""
        reporter.warning(
            f"{counted(left_out, 'test image')} left out: the champion, the challenger or one of their ancestors"
            f" learnt from them{in_other_files}"
        )
    return honest, left_out


def recorded_split(
    model: StoredRun, data: StoredRun, records: Sequence[Record], labels: tuple[str, ...], name: str
) -> Split:
    """Return images of a split of the run `data`, read at the size that `model` takes; targets index `labels`."""
    root, several = data.config.data.train, data.several
    return load_recorded_split(records, root, name, labels, model.reading, several=several)


def failed_gates(evaluation: Evaluation) -> Iterator[str]:
    """Yield a description of each gate that is not met."""
    for gate in evaluation.gates:
        if not gate["passed"]:
            yield f"{gate['metric']} is {decimal(gate['value'])}, required {gate['op']} {gate['bound']:g}"


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
