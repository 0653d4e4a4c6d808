"""The card of a model that gives an image several labels."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import ModelCard

from tests.evaluation.label_models import label_predictions
from tests.export.card.test_card import ARTEFACT, RECORD
from transfercli.evaluation.multilabel.result import evaluate_labels
from transfercli.export.card.card import limits, model_card
from transfercli.export.card.facts import ArtefactFacts, CardFacts, EvaluationFacts, RunFacts, validated
from transfercli.export.spec import ExportSpec, LabelDecisions

PREDICTIONS = label_predictions(2e-5)
TRUST: dict[str, Any] = {
    "calibration": {
        "ece_before": 0.125,
        "ece_after": 0.0625,
        "log_loss_before": 0.5,
        "log_loss_after": 0.25,
        "labels": [{"label": "zero", "ece_before": 0.1, "scale": 1.5, "offset": -0.25}],
    },
    "risk_coverage": None,
    "abstention": {
        "target": {"accuracy": 0.99},
        "labels": [
            {
                "label": "zero",
                "threshold": 0.9,
                "coverage": 0.5,
                "accuracy": 1.0,
                "possible": 0.99,
                "interval": [0.9, 1],
            },
            {"label": "one", "threshold": None, "coverage": 0.0, "accuracy": None, "possible": 0.7, "interval": None},
        ],
    },
    "conformal": None,
}


def facts(**more: Any) -> CardFacts:
    labels, count = PREDICTIONS.labels, len(PREDICTIONS.labels)
    evaluation = replace(evaluate_labels(PREDICTIONS), trust=TRUST).as_result()
    thresholds = np.full(count, 0.35)
    known: dict[str, Any] = {
        "experiment": "scenes",
        "run_id": "one",
        "spec": ExportSpec(labels, (24, 32), decisions=LabelDecisions.of(np.ones(count), np.zeros(count), thresholds)),
        "base": "resnet50",
        "source": "keras.applications",
        "licence": "MIT",
        "licence_id": "mit",
        "first_weights": "imagenet weights of Keras",
        "strategy": "linear_probe",
        "shown": ["map", "macro_f1", "macro_auroc"],
        "record": validated(RunFacts, RECORD, Path("run.json")),
        "config_yaml": "name: scenes",
        "counts": {label: {"train": 10 * n, "test": 5} for n, label in enumerate(labels)},
        "evaluations": {"test": validated(EvaluationFacts, evaluation, Path("metrics.json"))},
        "lineage": [],
        "artefacts": [validated(ArtefactFacts, ARTEFACT | {"map_exported": 0.875}, Path("export.json"))],
    }
    return CardFacts(**(known | more))


def test_the_hub_reads_that_it_is_a_multi_label_image_classifier() -> None:
    data = ModelCard(model_card(facts())).data
    assert data.pipeline_tag == "image-classification"
    assert "multi-label" in data.tags
    assert data.metrics == ["map", "f1", "roc_auc"]
    results = {result.metric_name: result for result in data.eval_results}
    assert results["map"].metric_value == evaluate_labels(PREDICTIONS).metrics["map"]
    assert results["map"].task_name == "Multi-label image classification"
    assert results["macro_auroc"].metric_type == "roc_auc"


def test_it_says_what_the_outputs_mean_and_how_good_each_label_is() -> None:
    text = " ".join(model_card(facts()).split())
    evaluation = evaluate_labels(PREDICTIONS)
    assert f"Its mean average precision is **{evaluation.metrics['map']:.4f}** on 300 images of test" in text
    assert "A multi-label image classifier of 10 labels, of which an image may have any number." in text
    assert "every label whose probability is at least its threshold; none if all are below" in text
    for row in evaluation.per_class:
        assert f"| {row['label']} | {row['support']} | {row['unknown']} | {row['ap']:.4f} |" in text
        assert f"| {row['threshold']:.4f} | {row['recall']:.4f} | {row['precision']:.4f} | {row['f1']:.4f} |" in text
    assert "mean average precision on the verification images" in text
    assert "| 0.8750 |" in text
    assert "same label sets" in text
    assert "Always unsure are 1 of 2 labels." in text
    assert "class of" not in text
    assert "its accuracy" not in text


def test_it_says_how_many_labels_calibration_changes() -> None:
    unchanged = " ".join(model_card(facts()).split())
    assert "(sigmoid; calibration leaves the logits as they are)" in unchanged
    assert "because no map of the logits improved them on images held out from training" in unchanged
    scales = np.ones(len(PREDICTIONS.labels))
    scales[:3] = 1.5
    spec = facts().spec
    decisions = LabelDecisions.of(scales, 0 * scales, np.full(len(scales), 0.35))
    changed = " ".join(model_card(facts(spec=replace(spec, decisions=decisions))).split())
    assert "calibration scales and shifts the 3 of 10 logits that it improves" in changed
    assert "Mean expected calibration error of the labels 0.1250 without it, 0.0625 with it." in changed


def test_its_code_defines_every_name_before_it_is_used() -> None:
    text = model_card(facts())
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    uses = next(index for index, block in enumerate(blocks) if "thresholds.json" in block)
    defines = [index for index, block in enumerate(blocks) if re.search(r"predict = |def predict\(", block)]
    pixels = next(index for index, block in enumerate(blocks) if "def pixels(" in block)
    assert defines
    assert max(*defines, pixels) < uses


def test_its_limits_are_about_labels() -> None:
    named = list(limits(facts()))
    worst = min(evaluate_labels(PREDICTIONS).per_class, key=lambda row: row["ap"])
    assert any(limit.startswith("These labels have fewer than 50 training images each: zero (0)") for limit in named)
    lowest = f"The labels of the lowest average precision on test: {worst['label']} ({100 * worst['ap']:.1f}%)"
    assert any(limit.startswith(lowest) for limit in named)


def test_a_label_that_no_image_of_the_split_has_is_named() -> None:
    targets = PREDICTIONS.targets.copy()
    targets[:, 3] = 0
    evaluation = evaluate_labels(replace(PREDICTIONS, targets=targets)).as_result()
    given = facts(evaluations={"test": validated(EvaluationFacts, evaluation, Path("metrics.json"))})
    assert "These labels were not evaluated, as test has no image of them: three." in list(limits(given))


def test_without_an_evaluation_the_card_says_so() -> None:
    text = model_card(facts(evaluations={}, artefacts=[]))
    assert "of which an image may have any number, not evaluated when it was exported." in text
    assert "so its mean average precision is not known" in text
