"""The page of a comparison of two models that give an image several labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.label_models import label_comparison, label_predictions
from tests.evaluation.page_reading import Page
from transfercli.evaluation.multilabel.changes import changes_by_label, label_changes
from transfercli.evaluation.report.compare_page import render_comparisons
from transfercli.evaluation.statistics.paired import compare

BEFORE, AFTER = label_predictions(2e-5), label_predictions(2e-3)


def right(predictions) -> np.ndarray:
    return predictions.answered == (predictions.targets == 1)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_comparisons([label_comparison()], "test", "transfercli runs compare scenes/a scenes/b"))


def test_images_that_only_one_model_has_wholly_right_are_those_whose_every_label_is() -> None:
    fixed, broken = label_changes(BEFORE, AFTER, 1000)
    before, after = (right(model).all(axis=1) for model in (BEFORE, AFTER))
    assert {change.champion.index for change in fixed} == set(np.flatnonzero(after & ~before))
    assert {change.champion.index for change in broken} == set(np.flatnonzero(before & ~after))
    assert fixed
    assert all(mark.kind == "hit" for change in fixed for mark in change.challenger.marks)


def test_changes_of_a_label_count_each_image_once_and_show_some() -> None:
    found = {changes.label: changes for changes in changes_by_label(BEFORE, AFTER, most=2)}
    gained, lost = right(AFTER) & ~right(BEFORE), right(BEFORE) & ~right(AFTER)
    for index, label in enumerate(BEFORE.labels):
        numbers = (int(gained[:, index].sum()), int(lost[:, index].sum()))
        assert numbers == ((found[label].fixed, found[label].broken) if label in found else (0, 0))
    totals = [changes.fixed + changes.broken for changes in changes_by_label(BEFORE, AFTER)]
    assert totals == sorted(totals, reverse=True)
    assert all(len(changes.shown_fixed) == min(2, changes.fixed) for changes in found.values())
    assert changes_by_label(BEFORE, BEFORE) == []


def test_the_page_has_a_row_for_each_label_and_pictures_behind_its_numbers(page: Page) -> None:
    assert "By label" in page.words
    assert "Mean average precision" in page.words
    ids = {attributes.get("id") for _, attributes in page.tags}
    links = [str(attributes["href"])[1:] for attributes in page.all("a") if "href" in attributes]
    assert {link for link in links if link not in ids} == set()
    changes = changes_by_label(BEFORE, AFTER)[0]
    assert f"label-{changes.number}-fixed" in links
    assert f"{changes.label}, only the other right: {changes.fixed} images" in page.words
    assert len(page.all("img")) > 12
    assert all(str(image["src"]).startswith("data:image/") and image["alt"] for image in page.all("img"))
    assert '["' not in page.words


def test_equal_models_are_said_to_be_equal() -> None:
    compared = compare(BEFORE, BEFORE, metric="map")
    same = replace(label_comparison(), compared=compared, after=BEFORE, fixed=(), broken=(), by_label=())
    words = Page(render_comparisons([same], "test", "transfercli runs compare")).words
    assert "The two answer every label of every image equally rightly." in words
