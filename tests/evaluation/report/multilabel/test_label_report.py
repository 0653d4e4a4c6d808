"""What a reader sees in the report of several labels."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.label_models import label_predictions, scene_images
from tests.evaluation.page_reading import Page
from tests.evaluation.report.pages import CONTEXT
from transfercli.evaluation.explain.heatmaps import Explanation
from transfercli.evaluation.gates import resolve
from transfercli.evaluation.multilabel.examples import images_to_explain
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.multilabel.result import evaluate_labels
from transfercli.evaluation.report.multilabel.matrices import answers_png
from transfercli.evaluation.report.multilabel.page import render_label_report
from transfercli.evaluation.report.report import ReportContext
from transfercli.evaluation.report.write import write_evaluation

HISTORY = [
    {
        "phase": 1,
        "epoch": e,
        "loss": 1 / e,
        "val_loss": 1.0,
        "val_accuracy": 0.9,
        "val_map": 0.3 * e,
        "val_macro_f1": 0.2,
    }
    for e in (1, 2, 3)
]


def page_of(predictions: LabelPredictions, context: ReportContext = CONTEXT, **options: object) -> Page:
    return Page(render_label_report(evaluate_labels(predictions, **options), predictions, context, b"png"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def predictions() -> LabelPredictions:
    return label_predictions(unknown=0.05)


@pytest.fixture(scope="module")
def page(predictions: LabelPredictions) -> Page:
    images = scene_images()
    cases = images_to_explain(predictions)[:10]
    heat = np.random.default_rng(0).random((4, 4), np.float32)
    explained = {(case.index, mark.label): Explanation("Grad-CAM", heat, heat) for case in cases for mark in case.marks}
    context = replace(CONTEXT, history=HISTORY, thumbnails=lambda rows: images[rows], explained=explained)
    gates = resolve({}, ["map=0.999", "ap[three]=0.1"], predictions.labels, "multilabel")
    return page_of(predictions, context, gates=gates)


def test_it_opens_with_the_gates_and_the_mean_average_precision(page: Page, predictions: LabelPredictions) -> None:
    value = evaluate_labels(predictions).metrics["map"]
    assert f"The mean average precision is {value:.3f}" in page.words
    assert "1 of 2 gates not met" in page.words
    assert "ap[three]" in page.words
    assert "On 300 images" in page.words or "on 300 images" in page.words


def test_each_label_has_its_metrics_and_threshold(page: Page, predictions: LabelPredictions) -> None:
    for row in evaluate_labels(predictions).per_class:
        line = [row["ap"], row["auroc"], row["precision"], row["recall"], row["f1"], row["threshold"]]
        texts = [f"{value:.3f}" for value in line]
        start = page.text.index(texts[0], page.text.index(row["label"]))
        cells = [text.strip() for text in page.text[start : start + 30] if text.strip()]
        assert [text for text in texts if text not in cells] == []


def test_the_curves_are_those_of_several_labels(page: Page) -> None:
    titles = [chart["aria-label"] for chart in page.all("svg")]
    assert any(str(title).startswith("mean average precision by epoch") for title in titles)
    assert sum(str(title).startswith("precision by recall of ") for title in titles) == 10
    assert any(str(title).startswith("reliability: share with the label by probability") for title in titles)


@pytest.mark.parametrize(
    "scales, text",
    [
        ((1.0, 1.0), "The model's probabilities are left as they are, because no map of the logits improved"),
        ((1.0, 1.5), "The logits of 1 of 2 labels are scaled and shifted"),
    ],
)
def test_it_says_how_many_labels_calibration_changes(
    scales: tuple[float, ...], text: str, predictions: LabelPredictions
) -> None:
    means = {"ece_before": 0.125, "ece_after": 0.0625, "log_loss_before": 0.5, "log_loss_after": 0.25}
    rows = [means | {"label": name, "scale": scale, "offset": 0.0} for name, scale in zip("ab", scales, strict=True)]
    evaluation = replace(evaluate_labels(predictions), trust={"calibration": means | {"labels": rows}})
    assert text in Page(render_label_report(evaluation, predictions, CONTEXT, b"png")).words


def test_the_note_on_intervals_names_each_kind(page: Page) -> None:
    assert "Wilson's for shares of images and of answers" in page.words
    assert "for the others a bootstrap over the images" in page.words


def test_label_sets_are_words_and_not_json(page: Page) -> None:
    assert "missed" in page.words
    assert "false" in page.words
    assert not [text for text in page.text if '["' in text or '{"has"' in text]
    kinds = {attributes.get("class") for attributes in page.all("li")}
    assert {"hit", "missed", "false"} <= kinds


def test_links_lead_somewhere_and_pictures_have_words(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {str(link["href"])[1:] for link in page.all("a") if link.get("href", "").startswith("#")}  # type: ignore[union-attr]
    assert targets <= set(ids)
    images = page.all("img")
    assert all(str(image["src"]).startswith("data:image/") and image["alt"] for image in images)
    assert any(str(image["alt"]).startswith("Grad-CAM heat map for ") for image in images)
    assert not [
        tag for tag, attributes in page.tags for value in attributes.values() if value and value.startswith("http")
    ]


def test_an_image_has_a_heat_map_for_each_of_its_labels(page: Page, predictions: LabelPredictions) -> None:
    case = next(case for case in images_to_explain(predictions)[:10] if len(case.marks) > 1)
    alts = [str(image["alt"]) for image in page.all("img")]
    start = next(
        number for number, alt in enumerate(alts) if alt.endswith(case.path) and "heat map" in alts[number + 1]
    )
    following = alts[start + 1 : start + 1 + 2 * len(case.marks)]
    assert {alt.removeprefix("Grad-CAM heat map for ") for alt in following if "Grad-CAM" in alt} == {
        mark.name for mark in case.marks
    }


@pytest.mark.parametrize("labels", [1, 2])
def test_few_labels_give_a_whole_page(labels: int) -> None:
    page = page_of(label_predictions(labels=labels))
    assert "Answered instead" in page.words
    assert "zero" in page.words


def test_labels_without_positives_or_without_truth_are_named_and_undefined() -> None:
    plain = label_predictions()
    targets = plain.targets.copy()
    targets[:, 1], targets[:, 2] = 0, -1
    page = page_of(replace(plain, targets=targets))
    assert "2 labels without images in this split" in page.words
    assert "one, two" in page.words
    assert sum(str(chart["aria-label"]).startswith("precision by recall of ") for chart in page.all("svg")) == 8


def test_a_model_that_answers_nothing_and_one_that_is_always_right_have_pages() -> None:
    plain = label_predictions()
    silent = page_of(replace(plain, thresholds=np.ones(10)))
    assert "never answered" in silent.words
    assert "There are none: every answer is right." in silent.words
    right = page_of(replace(plain, probabilities=(plain.targets == 1) * 0.9 + 0.05))
    assert "There are none: every label of every image is answered." in right.words
    assert "In no image is a label missed and another one answered falsely." in right.words


def test_names_of_strangers_stay_text() -> None:
    names = ("<script>alert(1)</script>", "a\x1b[31m\nb", "‮rtl", *label_predictions().labels[3:])
    page = page_of(replace(label_predictions(), labels=names))
    assert len(page.all("script")) == 1
    assert "<script>alert(1)</script>" in page.words


def test_the_files_of_an_evaluation_are_those_of_one_class_an_image(
    tmp_path: Path, predictions: LabelPredictions
) -> None:
    evaluation = evaluate_labels(predictions)
    write_evaluation(tmp_path, evaluation, predictions, CONTEXT)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "confusion_matrix.png",
        "metrics.json",
        "predictions.csv",
        "report.html",
    ]
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["co_occurrence"] == evaluation.co_occurrence
    with Image.open(tmp_path / "confusion_matrix.png") as picture:
        assert picture.width > picture.height > 500


def test_the_picture_of_one_label_and_of_many_is_drawn() -> None:
    one = label_predictions(labels=1)
    picture = partial(Image.open, io.BytesIO(answers_png(evaluate_labels(one), one)))
    assert picture().size[0] > 300
