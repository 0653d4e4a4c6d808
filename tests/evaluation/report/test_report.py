from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.page_reading import Page
from tests.evaluation.report.pages import CONTEXT, corrupted, page_of
from transfercli.evaluation.explain.heatmaps import Explanation
from transfercli.evaluation.gates import resolve
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.matrix import ALL_CELLS
from transfercli.evaluation.report.report import ReportContext, render_report
from transfercli.evaluation.result import evaluate
from transfercli.evaluation.slices import Slice

SECTIONS = (
    "verdict", "metrics", "classes", "training", "confusion", "thresholds", "calibration", "coverage", "sets",
    "mistakes", "unsure", "right", "labels", "slices", "robustness", "data", "model", "config", "environment",
    "reproduce",
)  # fmt: skip
OPTIONAL = {"coverage", "sets", "slices", "robustness", "model"}
TRUST = {
    "risk_coverage": {"coverage": [0.5, 1.0], "accuracy": [1.0, 0.9], "confidence": [0.8, 0.3], "aurc": 0.0321},
    "abstention": {
        "target": {"accuracy": 0.99}, "threshold": 0.75, "coverage": 0.5, "accuracy": 0.97, "interval": [0.9, 0.99]
    },
    "calibration": {
        "temperature": 1.25, "ece_before": 0.0812, "ece_after": 0.0123, "log_loss_before": 0.5, "log_loss_after": 0.4,
        "decision": {"fitted": 1.25, "gain": 0.0317, "standard_error": 0.0108, "scaled": True},
    },
    "conformal": {
        "validation_images": 90, "classes_with_own_threshold": 0,
        "levels": [
            {"level": 0.9, "coverage": 0.912, "interval": [0.89, 0.93], "mean_size": 1.234},
            {"level": 0.99, "coverage": None, "interval": None, "mean_size": None},
        ],
    },
    "out_of_distribution": {
        "score": "relative_mahalanobis",
        "threshold": -3.5,
        "strange": 0.06,
        "abstained": 0.52,
        "left_out_auroc": {"relative_mahalanobis": 0.871},
        "histogram": {"edges": [-9.0, -6.0, -3.0], "counts": [8, 2]},
    },
}  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    "$\\frac{",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "a&amp;b",
    "\u202e\udce9",
)


SIDES = Slice(("left", "right") * 300, ("left", "right"))


def test_every_section_is_there_named_and_linked(predictions: Predictions) -> None:
    bare = [section["id"] for section in page_of(predictions, replace(CONTEXT, model={})).all("section")]
    assert bare == [name for name in SECTIONS if name not in OPTIONAL]
    evaluation = replace(evaluate(predictions, slices={"side": SIDES}), trust=TRUST, robustness=corrupted(predictions))
    page = Page(render_report(evaluation, predictions, CONTEXT, b"png"))
    assert tuple(section["id"] for section in page.all("section")) == SECTIONS
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert len(ids) == sum("id" in attributes for _, attributes in page.tags)
    for section in page.all("section"):
        assert section["aria-labelledby"] in ids
    assert {f"#{name}" for name in SECTIONS} <= {link["href"] for link in page.all("a")}
    described = {attributes["aria-describedby"] for _, attributes in page.tags if "aria-describedby" in attributes}
    assert described <= ids
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1


def test_nothing_is_asked_from_anywhere(predictions: Predictions, digit_images: np.ndarray) -> None:
    html = render_report(
        evaluate(predictions), predictions, replace(CONTEXT, thumbnails=lambda i: digit_images[i]), b"png"
    )
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    page = Page(html)
    for _, attributes in page.tags:
        for key in ("src", "href", "xlink:href", "action", "poster", "srcset", "data"):
            value = attributes.get(key)
            assert value is None or value.startswith(("#", "data:"))
    policy = next(meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    told = policy["content"] or ""
    assert told.startswith("default-src 'none'")
    assert page.all("script") == [{}]
    text = html.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in told


def test_hostile_class_and_file_names_stay_text(predictions: Predictions) -> None:
    labels = (*HOSTILE, *predictions.labels[len(HOSTILE) :])
    paths = tuple(f"{labels[target]}/<b>{i}</b>.png" for i, target in enumerate(predictions.targets))
    page = page_of(
        Predictions(paths, labels, predictions.targets, predictions.probabilities),
        gates=resolve({}, [f"recall[{labels[0]}]=0.5"]),
    )
    assert page.all("script") == [{}]  # the page's own
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert not any(attributes.get("src") == "x" for _, attributes in page.tags)
    assert "recall[<script>alert(1)</script>]" in page.words
    assert "{{ 7 * 7 }}" in page.words
    assert "a&amp;b" in page.words
    assert "\u202e" not in page.words


def test_a_tail_of_a_hostile_name_cannot_close_an_attribute(make: Callable[..., Predictions]) -> None:
    name = '" onmouseover="alert(1)'
    page = page_of(make([0, 1], [1, 0], labels=(name, "b", "c")))
    assert not any("onmouseover" in attributes for _, attributes in page.tags)


def test_the_verdict_comes_first_and_tells_what_failed(predictions: Predictions) -> None:
    words = page_of(predictions, gates=resolve({"accuracy": 0.5}, ["ece<=0.0001"])).words
    assert "✗ 1 of 2 gates not met" in words
    assert "accuracy ✓ met ≥ 0.5" in words
    assert "ece ✗ not met ≤ 0.0001" in words
    assert words.index("1 of 2 gates not met") < words.index("macro F1")


def test_gates_that_are_met_and_none_at_all(predictions: Predictions) -> None:
    assert "✓ 1 of 1 gate met" in page_of(predictions, gates=resolve({}, ["accuracy=0.5"])).words
    assert "No gates set" in page_of(predictions).words


def test_the_numbers_of_the_evaluation_are_on_the_page(predictions: Predictions) -> None:
    evaluation = evaluate(predictions)
    words = page_of(predictions).words
    for name in METRICS:
        assert f"{evaluation.metrics[name]:.4f}" in words
    low, high = evaluation.intervals["macro_f1"]
    assert f"{low:.3f} to {high:.3f}" in words
    for row in evaluation.per_class:
        assert f"{row['label']} {row['support']} {row['recall']:.3f}" in words


def test_thumbnails_are_those_of_the_cases_shown(predictions: Predictions, digit_images: np.ndarray) -> None:
    asked: set[int] = set()

    def read(indices: np.ndarray) -> np.ndarray:
        asked.update(indices.tolist())
        return digit_images[indices]

    page = page_of(predictions, replace(CONTEXT, thumbnails=read))
    shown = len(page.all("img"))
    assert 24 * 3 < shown <= 24 * 4 + ALL_CELLS
    assert len(asked) <= shown
    assert all(image["alt"] for image in page.all("img"))
    assert page_of(predictions).all("img") == []


def test_where_the_model_looked_stands_beside_the_image(predictions: Predictions, digit_images: np.ndarray) -> None:
    wrong = np.flatnonzero(predictions.predicted != predictions.targets)
    first = int(wrong[np.argmax(predictions.confidence[wrong])])
    heat = np.eye(4, dtype=np.float32)
    plain = replace(CONTEXT, thumbnails=lambda i: digit_images[i])
    why = {first: Explanation("Grad-CAM", heat, heat, 0.5)}
    before, after = page_of(predictions, plain), page_of(predictions, replace(plain, explained=why))
    assert len(after.all("img")) == len(before.all("img")) + 2
    predicted = predictions.labels[predictions.predicted[first]]
    assert any(image["alt"] == f"Grad-CAM heat map for {predicted}" for image in after.all("img"))
    assert "Rank correlation of Grad-CAM and occlusion: +0.50" in after.words


def test_each_mistake_in_the_matrix_leads_to_its_images(predictions: Predictions) -> None:
    page = page_of(predictions)
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = {link["href"][1:] for link in page.all("a") if (link["href"] or "").startswith("#cell-")}
    wrong = {f"cell-{t}-{p}" for t, p in zip(predictions.targets, predictions.predicted, strict=True) if t != p}
    assert wrong <= links <= ids


def test_what_is_known_of_trust_and_slices_is_told(predictions: Predictions) -> None:
    evaluation = replace(evaluate(predictions, slices={"side": SIDES}), trust=TRUST)
    words = Page(render_report(evaluation, predictions, CONTEXT, b"png")).words
    for told in (
        "A temperature of 1.250",
        "0.0812",
        "accuracy 0.99",
        "75.0%",
        "97.0%",
        "relative mahalanobis above -3.500",
        "0.871",
    ):
        assert told in words
    assert "The area under the curve is 0.0321" in words
    assert "changes the cross-validated log loss by −0.0317 (standard error 0.0108)" in words
    assert "0.9 91.2% 89.0% to 93.0% 1.23 0.99 too few held-out images" in words
    assert "side left 300" in words


def test_a_flipped_label_is_doubted(predictions: Predictions) -> None:
    sure = int(np.argmax(predictions.confidence))
    targets = predictions.targets.copy()
    targets[sure] = (targets[sure] + 1) % 10
    words = page_of(Predictions(predictions.paths, predictions.labels, targets, predictions.probabilities)).words
    assert (
        f"labelled {predictions.labels[targets[sure]]} , likely {predictions.labels[predictions.predicted[sure]]}"
        in words
    )


def test_no_absolute_path_reaches_the_page(predictions: Predictions) -> None:
    paths = tuple(f"/home/zebulon/{path}" for path in predictions.paths)
    predictions = Predictions(paths, predictions.labels, predictions.targets, predictions.probabilities)
    context = replace(CONTEXT, versions={"python": "/home/zebulon/bin/python"}, data={"root": "/home/zebulon/pictures"})
    html = render_report(evaluate(predictions), predictions, context, b"png")
    assert "zebulon" not in html
    assert "train: …/pictures" in html
    assert "--data …/pictures" in html


def test_many_classes_show_the_picture_instead_of_a_table(predictions: Predictions) -> None:
    labels = (*predictions.labels, *(f"more {i}" for i in range(30)))
    wide = np.pad(predictions.probabilities, ((0, 0), (0, 30)))
    page = page_of(Predictions(predictions.paths, labels, predictions.targets, wide))
    assert [image["src"] for image in page.all("img")] == ["data:image/png;base64,cG5n"]
    assert "Of 40 classes, the 30 with the most mistakes" in page.words
    assert "30 classes without images in this split" in page.words


def test_a_perfect_model_has_no_mistakes_to_show(make: Callable[..., Predictions]) -> None:
    words = page_of(make([0, 1, 2] * 5, [0, 1, 2] * 5)).words
    assert "every prediction on this split is right" in words
    assert "No image of this split is predicted as another class" in words


@pytest.mark.parametrize(
    "targets, predicted",
    [([2], [2]), ([2], [0]), ([1] * 4, [1] * 4), ([0, 1], [2, 2])],
    ids=["one image right", "one image wrong", "all one class", "only an absent class predicted"],
)
def test_extreme_splits_have_a_report(
    targets: list[int], predicted: list[int], make: Callable[..., Predictions]
) -> None:
    bare = ReportContext(experiment="x", run_id="y", split="test")
    page = page_of(make(targets, predicted), bare, shown=list(METRICS), gates=resolve({}, ["roc_auc=0.5"]))
    assert "nan" not in page.words.split()
    assert "None" not in page.words
    assert "Not recorded." in page.words


def test_the_same_evaluation_gives_the_same_page(predictions: Predictions) -> None:
    pages = [render_report(evaluate(predictions), predictions, CONTEXT, b"png") for _ in range(2)]
    assert pages[0] == pages[1]


PROBE = {"phase": 1, "epoch": 0, "loss": 0.1, "accuracy": 0.9, "val_loss": 0.2, "val_accuracy": 0.875}


def test_a_probe_has_no_curves_but_the_strengths_that_were_tried(predictions: Predictions) -> None:
    tried = {"strength": 10.0, "strengths": [[1.0, 0.5, 0.8], [10.0, 0.3, 0.9], [1000.0, 0.4, 0.85]]}
    page = page_of(predictions, replace(CONTEXT, history=[PROBE | tried]))
    assert "without epochs: log loss 0.2000 and accuracy 87.5% on the validation images" in page.words
    labels = [svg["aria-label"] for svg in page.all("svg")]
    assert "log loss by strength; the chosen strength is 10" in labels
    assert not [label for label in labels if "by epoch" in label]
    old = page_of(predictions, replace(CONTEXT, history=[PROBE]))  # of a run that did not record them
    assert "without epochs" in old.words
    for hostile in ({"strengths": "<b>", "strength": 1}, {"strengths": [["<b>", 1, 1]] * 2, "strength": "<b>"}, {}):
        line = {"epoch": 0, **hostile}
        assert "<b>" not in page_of(predictions, replace(CONTEXT, history=[line])).words
    layers = [["block3", 0.25, 10.0], ["output", 0.75, 1.0], ["<b>", "x", 1]]
    words = page_of(predictions, replace(CONTEXT, history=[PROBE | tried | {"layers": layers}])).words
    assert "Layer Weight Strength block3 0.25 10 output 0.75 1" in words
    both = page_of(predictions, replace(CONTEXT, history=[PROBE | tried, *CONTEXT.history]))
    assert sum("by epoch" in svg["aria-label"] for svg in both.all("svg")) == 2


def test_the_model_and_its_cost_have_a_table(predictions: Predictions) -> None:
    assert "Model parameters 1,234" in page_of(predictions).words
