"""Real models of scenes, pairs of digits side by side labelled by the digits that are in them, and pages of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from sklearn.linear_model import LogisticRegression

from tests.digits import all_digits
from transfercli.config.schema import AbstainConfig, EvaluationConfig
from transfercli.evaluation.explain.heatmaps import Explanation
from transfercli.evaluation.gates import resolve
from transfercli.evaluation.multilabel.changes import changes_by_label, label_changes
from transfercli.evaluation.multilabel.confidence import label_confidence_metrics
from transfercli.evaluation.multilabel.examples import images_to_explain
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.multilabel.result import evaluate_labels
from transfercli.evaluation.multilabel.trust import fit_label_trust
from transfercli.evaluation.report.compare_page import RunComparison
from transfercli.evaluation.report.multilabel.page import render_label_report
from transfercli.evaluation.report.report import ReportContext
from transfercli.evaluation.report.thumbnails import image_data_url
from transfercli.evaluation.slices import slice_by_thirds
from transfercli.evaluation.statistics.paired import compare

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@cache
def scenes() -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 [900, 8, 16, 3], and targets int64 [900, 10]; the place of a digit can be empty."""
    digits, draw = all_digits(), np.random.default_rng(0)
    rows = draw.integers(0, len(digits.labels), (900, 2))
    empty = draw.random((900, 2)) < 0.2
    images, targets = np.zeros((900, 8, 16, 3), np.uint8), np.zeros((900, 10), np.int64)
    for place in (0, 1):
        shown = ~empty[:, place]
        images[shown, :, 8 * place : 8 * place + 8] = digits.rgb(rows[shown, place])
        targets[np.flatnonzero(shown), digits.labels[rows[shown, place]]] = 1
    return images, targets


@cache
def label_predictions(strength: float = 0.002, labels: int = 10, unknown: float = 0.0) -> LabelPredictions:
    """Return the answers of logistic regressions to 300 scenes; unknown: share of the truth that is unknown."""
    images, targets = scenes()
    features = images[..., 0].reshape(len(images), -1) / 255
    models = [LogisticRegression(C=100 * strength).fit(features[:600], targets[:600, i]) for i in range(labels)]
    answers = np.stack([model.predict_proba(features[600:])[:, 1] for model in models], axis=1)
    truth = targets[600:, :labels].copy()
    truth[np.random.default_rng(1).random(truth.shape) < unknown] = -1
    paths = tuple(f"test/{number:04d}.png" for number in range(300))
    thresholds = np.full(labels, 0.35)
    return LabelPredictions(paths, NAMES[:labels], truth, answers.astype(np.float32), thresholds)


def scene_images() -> np.ndarray:
    """uint8 [300, 8, 16, 3], the images of `label_predictions`."""
    return scenes()[0][600:]


HISTORY = [
    {"phase": 1, "epoch": epoch, "loss": 1 / epoch, "val_loss": 1.0, "val_map": 0.3 * epoch, "val_macro_f1": 0.2}
    for epoch in (1, 2, 3)
]


def label_comparison() -> RunComparison:
    """Compare a weak model with a better one."""
    before, after = label_predictions(2e-5), label_predictions(2e-3)
    (fixed, broken), by_label, images = (
        label_changes(before, after, 12),
        changes_by_label(before, after),
        scene_images(),
    )
    shown = [*fixed, *broken, *(change for label in by_label for change in (*label.shown_fixed, *label.shown_broken))]
    return RunComparison(
        champion="scenes/a",
        challenger="scenes/b",
        compared=compare(before, after, metric="map"),
        before=before,
        after=after,
        fixed=fixed,
        broken=broken,
        pictures={change.challenger.path: image_data_url(images[change.challenger.index]) for change in shown},
        missing={},
        config=[],
        seconds={},
        lines=HISTORY,
        by_label=by_label,
    )


def label_report() -> str:
    """Return a report of everything that one of several labels can hold, but robustness."""
    plain, images = label_predictions(unknown=0.05), scene_images()
    logits = np.log(plain.probabilities / (1 - plain.probabilities))
    config = EvaluationConfig(thresholds="f1", abstain=AbstainConfig(accuracy=0.9))
    trust = fit_label_trust(logits[:150], plain.targets[:150], plain.labels, config)
    assessment = trust.assess(logits)
    names = ("<b>zero</b>", *plain.labels[1:9], "a very long name of a label that needs more than one line " * 2)
    predictions = replace(
        plain, labels=names, probabilities=assessment.probabilities, thresholds=trust.thresholds, paths=plain.paths
    )
    slices = {"brightness": slice_by_thirds(images.mean(axis=(1, 2, 3)), ("dark", "medium", "bright"), "of 255")}
    gates = resolve({}, ["map=0.999", "ap[one]=0.1"], names, "multilabel")
    evaluation = evaluate_labels(predictions, gates=gates, slices=slices)
    confidence = label_confidence_metrics(assessment, logits, plain.targets, replace(trust, labels=names))
    heat = np.random.default_rng(0).random((4, 4), np.float32)
    cases = images_to_explain(predictions)[:12]
    context = ReportContext(
        experiment="scenes",
        run_id="one",
        split="test",
        config_yaml="name: scenes\n",
        versions={"python": "3.11"},
        history=HISTORY,
        thumbnails=lambda rows: images[rows],
        reproduce=["transfercli evaluate scenes/one"],
        model={"parameters": "1,234"},
        explained={
            (case.index, mark.label): Explanation("Grad-CAM", heat, heat if mark.label % 2 else None)
            for case in cases
            for mark in case.explained
        },
    )
    return render_label_report(replace(evaluation, trust=confidence), predictions, context, b"png")
