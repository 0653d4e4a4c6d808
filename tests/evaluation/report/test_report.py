from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.evaluation.page_reading import Page
from transfercli.evaluation.examples import typically_right
from transfercli.evaluation.explain.heatmaps import Explanation
from transfercli.evaluation.gates import resolve
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.matrix import ALL_CELLS
from transfercli.evaluation.report.report import ReportContext, render_report
from transfercli.evaluation.report.thumbnails import image_data_url
from transfercli.evaluation.result import evaluate
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES
from transfercli.evaluation.robustness.score import corruption_summary, score_corruption
from transfercli.evaluation.robustness.tta import average_views, tta_gain, views
from transfercli.evaluation.slices import Slice

SECTIONS = (
    "verdict", "metrics", "classes", "training", "confusion", "calibration", "coverage", "mistakes", "unsure", "right",
    "labels", "slices", "robustness", "data", "config", "environment", "reproduce",
)  # fmt: skip
OPTIONAL = {"coverage", "slices", "robustness"}
TRUST = {
    "risk_coverage": {"coverage": [0.5, 1.0], "accuracy": [1.0, 0.9], "confidence": [0.8, 0.3], "aurc": 0.0321},
    "abstention": {
        "target": {"accuracy": 0.99}, "threshold": 0.75, "coverage": 0.5, "accuracy": 0.97, "interval": [0.9, 0.99]
    },
    "calibration": {
        "temperature": 1.25, "ece_before": 0.0812, "ece_after": 0.0123, "log_loss_before": 0.5, "log_loss_after": 0.4
    },
    "out_of_distribution": {"score": "energy", "threshold": -3.5, "strange": 0.06, "abstained": 0.52},
}  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    "$\\frac{",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "a&amp;b",
    "\u202e\udce9",
)
CONTEXT = ReportContext(
    experiment="digits",
    run_id="20260101-000000-abcdef",
    split="test",
    config_yaml="name: digits\ndata:\n  train: /home/zebulon/pictures\n",
    versions={"python": "3.11.9", "keras": "3.15.1"},
    history=[
        {"phase": "head", "epoch": epoch, "loss": 1 / epoch, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
        for epoch in range(1, 4)
    ],
    reproduce=("transfercli evaluate digits --data /home/zebulon/pictures",),
    data={"training images": 300},
)


def _robustness(digits: Predictions) -> dict[str, Any]:
    """Each severity takes 12 more images for the next class; JPEG twice as many."""
    rows = []
    for row in CORRUPTIONS.values():
        for severity in SEVERITIES:
            said = digits.predicted.copy()
            said[: 12 * severity * (1 + (row.name == "jpeg"))] = 0
            rows.append(score_corruption(digits, said, row, severity, (8, 8)))
    return corruption_summary(digits, rows, 0)


def _tta(digits: Predictions) -> dict[str, Any]:
    mean = average_views(digits, [np.eye(10)[digits.targets]])
    return tta_gain(digits, mean, views(True), 0)


SIDES = Slice(("left", "right") * 300, ("left", "right"))


def _page(predictions: Predictions, context: ReportContext = CONTEXT, **options: Any) -> Page:
    return Page(render_report(evaluate(predictions, **options), predictions, context, b"png"))


def test_every_section_is_there_named_and_linked(digits: Predictions) -> None:
    bare = [section["id"] for section in _page(digits).all("section")]
    assert bare == [name for name in SECTIONS if name not in OPTIONAL]
    evaluation = replace(evaluate(digits, slices={"side": SIDES}), trust=TRUST, robustness=_robustness(digits))
    page = Page(render_report(evaluation, digits, CONTEXT, b"png"))
    assert tuple(section["id"] for section in page.all("section")) == SECTIONS
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert len(ids) == sum("id" in attributes for _, attributes in page.tags)
    for section in page.all("section"):
        assert section["aria-labelledby"] in ids
    assert {f"#{name}" for name in SECTIONS} <= {link["href"] for link in page.all("a")}
    described = {attributes["aria-describedby"] for _, attributes in page.tags if "aria-describedby" in attributes}
    assert described <= ids
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1


def test_nothing_is_asked_from_anywhere(digits: Predictions, digit_images: np.ndarray) -> None:
    html = render_report(evaluate(digits), digits, replace(CONTEXT, thumbnails=lambda i: digit_images[i]), b"png")
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


def test_hostile_class_and_file_names_stay_text(digits: Predictions) -> None:
    labels = (*HOSTILE, *digits.labels[len(HOSTILE) :])
    paths = tuple(f"{labels[target]}/<b>{i}</b>.png" for i, target in enumerate(digits.targets))
    page = _page(
        Predictions(paths, labels, digits.targets, digits.probabilities),
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
    page = _page(make([0, 1], [1, 0], labels=(name, "b", "c")))
    assert not any("onmouseover" in attributes for _, attributes in page.tags)


def test_the_verdict_comes_first_and_tells_what_failed(digits: Predictions) -> None:
    words = _page(digits, gates=resolve({"accuracy": 0.5}, ["ece<=0.0001"])).words
    assert "✗ 1 of 2 gates not met" in words
    assert "accuracy ✓ met ≥ 0.5" in words
    assert "ece ✗ not met ≤ 0.0001" in words
    assert words.index("1 of 2 gates not met") < words.index("macro F1")


def test_gates_that_are_met_and_none_at_all(digits: Predictions) -> None:
    assert "✓ 1 of 1 gate met" in _page(digits, gates=resolve({}, ["accuracy=0.5"])).words
    assert "No gates set" in _page(digits).words


def test_the_numbers_of_the_evaluation_are_on_the_page(digits: Predictions) -> None:
    evaluation = evaluate(digits)
    words = _page(digits).words
    for name in METRICS:
        assert f"{evaluation.metrics[name]:.4f}" in words
    low, high = evaluation.intervals["macro_f1"]
    assert f"{low:.3f} to {high:.3f}" in words
    for row in evaluation.per_class:
        assert f"{row['label']} {row['support']} {row['recall']:.3f}" in words


def test_thumbnails_are_those_of_the_cases_shown(digits: Predictions, digit_images: np.ndarray) -> None:
    asked: set[int] = set()

    def read(indices: np.ndarray) -> np.ndarray:
        asked.update(indices.tolist())
        return digit_images[indices]

    page = _page(digits, replace(CONTEXT, thumbnails=read))
    shown = len(page.all("img"))
    assert 24 * 3 < shown <= 24 * 4 + ALL_CELLS
    assert len(asked) <= shown
    assert all(image["alt"] for image in page.all("img"))
    assert _page(digits).all("img") == []


def test_where_the_model_looked_stands_beside_the_image(digits: Predictions, digit_images: np.ndarray) -> None:
    wrong = np.flatnonzero(digits.predicted != digits.targets)
    first = int(wrong[np.argmax(digits.confidence[wrong])])
    heat = np.eye(4, dtype=np.float32)
    plain = replace(CONTEXT, thumbnails=lambda i: digit_images[i])
    why = {first: Explanation(heat, heat, 0.5)}
    before, after = _page(digits, plain), _page(digits, replace(plain, explained=why))
    assert len(after.all("img")) == len(before.all("img")) + 2
    predicted = digits.labels[digits.predicted[first]]
    assert any(image["alt"] == f"Grad-CAM heat map for {predicted}" for image in after.all("img"))
    assert "Rank correlation of Grad-CAM and occlusion: +0.50" in after.words


def test_each_mistake_in_the_matrix_leads_to_its_images(digits: Predictions) -> None:
    page = _page(digits)
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = {link["href"][1:] for link in page.all("a") if (link["href"] or "").startswith("#cell-")}
    wrong = {f"cell-{t}-{p}" for t, p in zip(digits.targets, digits.predicted, strict=True) if t != p}
    assert wrong <= links <= ids


def test_what_is_known_of_trust_and_slices_is_told(digits: Predictions) -> None:
    evaluation = replace(evaluate(digits, slices={"side": SIDES}), trust=TRUST)
    words = Page(render_report(evaluation, digits, CONTEXT, b"png")).words
    for told in ("A temperature of 1.250", "0.0812", "accuracy 0.99", "75.0%", "97.0%", "energy above -3.500"):
        assert told in words
    assert "The area under the curve is 0.0321" in words
    assert "side left 300" in words


def test_robustness_is_told_with_a_chart_and_a_picture_of_each_corruption(
    digits: Predictions, digit_images: np.ndarray
) -> None:
    context = replace(CONTEXT, thumbnails=lambda indices: digit_images[indices])
    found = _robustness(digits)
    page = Page(render_report(replace(evaluate(digits), robustness=found), digits, context, b"png"))
    assert f"wrong on {100 * found['mean_corruption_error']:.1f}% of the images on average" in page.words
    assert f"The largest error is under jpeg : {100 * found['errors']['jpeg']:.1f}%" in page.words
    assert "Averaged over views" not in page.words
    charts = [one["aria-label"] or "" for one in page.all("svg") if "severity" in (one["aria-label"] or "")]
    assert len(charts) == len(CORRUPTIONS)
    for row in found["corruptions"]:
        assert any(f"{row['accuracy']:.3f}" in label for label in charts)
    pictures = {image["alt"]: image["src"] for image in page.all("img")}
    sample = typically_right(digits)[0].index
    assert pictures["the unchanged image"] == image_data_url(digit_images[sample])
    for name, row in CORRUPTIONS.items():
        assert pictures[f"the same image: {name}"] == image_data_url(row(digit_images[sample], 3, 0, sample))


def test_robustness_without_images_to_show_has_no_pictures(digits: Predictions) -> None:
    page = Page(render_report(replace(evaluate(digits), robustness=_robustness(digits)), digits, CONTEXT, b"png"))
    assert page.all("img") == []
    assert "One image at severity" not in page.words


def test_what_averaging_over_views_gains_is_told_beside_the_plain_metrics(digits: Predictions) -> None:
    found = _tta(digits)
    page = Page(render_report(replace(evaluate(digits), tta=found), digits, CONTEXT, b"png"))
    assert "robustness" in [section["id"] for section in page.all("section")]
    gain = found["gain"]["accuracy"]
    plain = (digits.predicted == digits.targets).mean()
    told = f"accuracy {plain:.4f} {found['metrics']['accuracy']:.4f} +{gain['value']:.4f} +{gain['interval'][0]:.4f} to"
    assert told in page.words
    assert "12 views" in page.words
    assert "and the mirror images of all" in page.words
    assert f"{found['mcnemar']['fixed']} images right only with averaging, 0 only without" in page.words


def test_a_flipped_label_is_doubted(digits: Predictions) -> None:
    sure = int(np.argmax(digits.confidence))
    targets = digits.targets.copy()
    targets[sure] = (targets[sure] + 1) % 10
    words = _page(Predictions(digits.paths, digits.labels, targets, digits.probabilities)).words
    assert f"labelled {digits.labels[targets[sure]]} , likely {digits.labels[digits.predicted[sure]]}" in words


def test_no_absolute_path_reaches_the_page(digits: Predictions) -> None:
    paths = tuple(f"/home/zebulon/{path}" for path in digits.paths)
    predictions = Predictions(paths, digits.labels, digits.targets, digits.probabilities)
    context = replace(CONTEXT, versions={"python": "/home/zebulon/bin/python"}, data={"root": "/home/zebulon/pictures"})
    html = render_report(evaluate(predictions), predictions, context, b"png")
    assert "zebulon" not in html
    assert "train: …/pictures" in html
    assert "--data …/pictures" in html


def test_many_classes_show_the_picture_instead_of_a_table(digits: Predictions) -> None:
    labels = (*digits.labels, *(f"more {i}" for i in range(30)))
    wide = np.pad(digits.probabilities, ((0, 0), (0, 30)))
    page = _page(Predictions(digits.paths, labels, digits.targets, wide))
    assert [image["src"] for image in page.all("img")] == ["data:image/png;base64,cG5n"]
    assert "Of 40 classes, the 30 with the most mistakes" in page.words
    assert "30 classes without images in this split" in page.words


def test_a_perfect_model_has_no_mistakes_to_show(make: Callable[..., Predictions]) -> None:
    words = _page(make([0, 1, 2] * 5, [0, 1, 2] * 5)).words
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
    page = _page(make(targets, predicted), bare, shown=list(METRICS), gates=resolve({}, ["roc_auc=0.5"]))
    assert "nan" not in page.words.split()
    assert "None" not in page.words
    assert "Not recorded." in page.words


def test_the_same_evaluation_gives_the_same_page(digits: Predictions) -> None:
    pages = [render_report(evaluate(digits), digits, CONTEXT, b"png") for _ in range(2)]
    assert pages[0] == pages[1]
