"""The section on robustness of a report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.evaluation.page_reading import Page
from tests.evaluation.report.pages import CONTEXT, corrupted
from transfercli.evaluation.examples import typically_right
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.report import render_report
from transfercli.evaluation.report.thumbnails import image_data_url
from transfercli.evaluation.result import evaluate
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS
from transfercli.evaluation.robustness.tta import average_views, tta_gain, views


def averaged_over_views(predictions: Predictions) -> dict[str, Any]:
    mean = average_views(predictions, [np.eye(10)[predictions.targets]])
    return tta_gain(predictions, mean, views(True), 0)


def test_robustness_is_told_with_a_chart_and_a_picture_of_each_corruption(
    predictions: Predictions, digit_images: np.ndarray
) -> None:
    context = replace(CONTEXT, thumbnails=lambda indices: digit_images[indices])
    found = corrupted(predictions)
    page = Page(render_report(replace(evaluate(predictions), robustness=found), predictions, context, b"png"))
    assert f"wrong on {100 * found['mean_corruption_error']:.1f}% of the images on average" in page.words
    assert f"The largest error is under jpeg : {100 * found['errors']['jpeg']:.1f}%" in page.words
    assert "Averaged over views" not in page.words
    charts = [one["aria-label"] or "" for one in page.all("svg") if "severity" in (one["aria-label"] or "")]
    assert len(charts) == len(CORRUPTIONS)
    for row in found["corruptions"]:
        assert any(f"{row['accuracy']:.3f}" in label for label in charts)
    pictures = {image["alt"]: image["src"] for image in page.all("img")}
    sample = typically_right(predictions)[0].index
    assert pictures["the unchanged image"] == image_data_url(digit_images[sample])
    for name, row in CORRUPTIONS.items():
        assert pictures[f"the same image: {name}"] == image_data_url(row(digit_images[sample], 3, 0, sample))


def test_robustness_without_images_to_show_has_no_pictures(predictions: Predictions) -> None:
    page = Page(
        render_report(replace(evaluate(predictions), robustness=corrupted(predictions)), predictions, CONTEXT, b"png")
    )
    assert page.all("img") == []
    assert "One image at severity" not in page.words


def test_what_averaging_over_views_gains_is_told_beside_the_plain_metrics(predictions: Predictions) -> None:
    found = averaged_over_views(predictions)
    page = Page(render_report(replace(evaluate(predictions), tta=found), predictions, CONTEXT, b"png"))
    assert "robustness" in [section["id"] for section in page.all("section")]
    gain = found["gain"]["accuracy"]
    plain = (predictions.predicted == predictions.targets).mean()
    told = f"accuracy {plain:.4f} {found['metrics']['accuracy']:.4f} +{gain['value']:.4f} +{gain['interval'][0]:.4f} to"
    assert told in page.words
    assert "12 views" in page.words
    assert "and the mirror images of all" in page.words
    assert f"{found['mcnemar']['fixed']} images right only with averaging, 0 only without" in page.words
