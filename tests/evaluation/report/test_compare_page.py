"""The page of `runs compare --report`, of real models of the digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.comparisons import NAMES, comparison, digit_comparisons, digit_models
from tests.evaluation.page_reading import Page
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.compare_page import (
    MOST_DETAILED,
    PICTURES,
    FirstRun,
    RunComparison,
    gallery_size,
    render_comparisons,
    row_of,
    scale_of,
)
from transfercli.evaluation.statistics.multiple_comparisons import adjust

SECTIONS = ("verdict", "metrics", "classes", "answers", "fixed", "broken", "config", "cost")


@pytest.fixture(scope="module")
def two() -> list[RunComparison]:
    return digit_comparisons()


def page_of(*shown: RunComparison) -> Page:
    return Page(render_comparisons(shown, "test", "transfercli runs compare a b --report /home/zebulon/c.html"))


def test_one_challenger_has_every_section_named_and_linked(two: list[RunComparison]) -> None:
    page = page_of(two[1])
    assert [section["id"] for section in page.all("section")] == [*SECTIONS, "reproduce"]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {section["aria-labelledby"] for section in page.all("section")} <= set(ids)
    assert {f"#{name}" for name in SECTIONS} <= {link["href"] for link in page.all("a")}
    described = {attributes["aria-describedby"] for _, attributes in page.tags if "aria-describedby" in attributes}
    assert described <= set(ids)


def test_classes_that_only_one_knows_are_told_beside_the_verdict(two: list[RunComparison]) -> None:
    words = page_of(replace(two[1], only_known={"champion": [], "challenger": ["<b>", "wasp"]})).words
    assert "Only the other run has the classes <b>, wasp. It can predict them" in words
    assert "Only the c" not in page_of(two[1]).words


def test_a_class_without_images_is_not_told_to_show_no_difference(two: list[RunComparison]) -> None:
    names = (*NAMES, "wasp")
    wide = [
        replace(one, labels=names, probabilities=np.pad(one.probabilities, ((0, 0), (0, 1))))
        for one in (two[1].before, two[1].after)
    ]
    page = page_of(comparison(wide[0], wide[1], np.zeros((1000, 8, 8, 3), np.uint8)))
    assert page.words.count("wasp 0 – – – not defined") == 1


def test_all_verdicts_come_first_where_there_are_several_challengers(two: list[RunComparison]) -> None:
    page = page_of(*two)
    names = [f"verdict-{n}" for n in (1, 2)] + [f"{name}-{n}" for n in (1, 2) for name in SECTIONS[1:]]
    assert [section["id"] for section in page.all("section")] == ["together", *names, "reproduce"]
    assert page.words.index("bbbbbb: worse") < page.words.index("cccccc: better") < page.words.index("Metrics: digits/")
    assert {f"#{name}" for name in names} <= {link["href"] for link in page.all("a")}


def test_the_verdict_says_in_words_what_the_interval_says(two: list[RunComparison]) -> None:
    worse, better = (page_of(one) for one in two)
    assert [page.all("section")[0]["class"].strip() for page in (worse, better)] == ["verdict failed", "verdict passed"]
    found = two[1].compared
    low, high = found.decisive.interval or (0, 0)
    assert f"95% interval +{low:.4f} to +{high:.4f}" in better.words
    assert f"right on {len(found.fixed)} images that the first run has wrong" in better.words
    assert f"a true difference of {found.decisive.detectable:.4f} in 80% of cases" in better.words
    same = page_of(comparison(two[0].before, two[0].before, np.zeros((1000, 8, 8, 3), np.uint8))).words
    assert "no difference that these images can show" in same
    assert "The two are right on the same images." in same
    assert "There is no image that only the other run has right." in same


def test_less_of_a_loss_is_better_and_drawn_on_the_right() -> None:
    (weak, strong), images = digit_models(1e-4, 1e-2)
    found = comparison(weak, strong, images, metric="log_loss")
    page = page_of(found)
    assert "✓ digits/20260102-000000-bbbbbb: better" in page.words
    assert "; lower is better." in page.words
    row = row_of(found.compared, "log_loss", scale_of(found.compared, ["log_loss"]))
    assert row.bar is not None
    assert 50 < row.bar.left < row.bar.value <= 100
    assert row.bar.left + row.bar.width <= 100


def test_a_bar_lies_around_its_value_and_an_undefined_metric_has_none(make: Callable[..., Predictions]) -> None:
    targets = [0, 1] * 30
    before, after = make(targets, [0, 1] * 20 + [0, 0] * 10), make(targets, [0, 1] * 28 + [0, 0] * 2)
    found = comparison(before, after, np.zeros((60, 8, 8, 3), np.uint8))
    difference = found.compared.decisive.difference
    low, high = found.compared.decisive.interval or (0, 0)
    bar = row_of(found.compared, "accuracy", 0.5).bar
    assert bar is not None
    assert difference is not None
    assert bar.value == pytest.approx(50 + 100 * difference)
    assert (bar.left, bar.width) == (pytest.approx(50 + 100 * low), pytest.approx(100 * (high - low)))
    assert row_of(found.compared, "recall[class 2]", 0.5).bar is None
    words = page_of(found).words
    assert "class 2 0 – – –" in words
    assert not {"None", "nan"} & set(words.split())


def test_each_image_has_its_picture_its_class_and_what_both_said(two: list[RunComparison]) -> None:
    page = page_of(two[1])
    change = two[1].fixed[0]
    before, after = change.champion, change.challenger
    assert (
        f"{after.truth} first ✗ {before.predicted} , {before.confidence:.1%}"
        f" other ✓ {after.predicted} , {after.confidence:.1%} {after.path}"
    ) in page.words
    images = page.all("img")
    shown = [*two[1].fixed, *two[1].broken]
    assert len(images) == len(shown) - 1
    assert images[0]["alt"] == f"Fixed 1: {after.path}"
    assert images[0]["src"] == two[1].pictures[after.path]
    assert images[24]["alt"] == f"Fixed 25: {two[1].fixed[24].challenger.path}"
    assert "40 of 71 are shown" in page.words
    assert "The other 16" in page.words


def test_an_image_without_a_picture_says_why_and_no_more(two: list[RunComparison]) -> None:
    words = page_of(two[1]).words
    assert "No picture: the file is gone from …/x" in words
    nothing = page_of(replace(two[1], pictures={}, missing={}))
    assert nothing.all("img") == []
    assert "No picture: the image is in no record of these runs" in nothing.words


def test_config_cost_and_answers_are_told(two: list[RunComparison]) -> None:
    page = page_of(two[1])
    for told in ("training.epochs 20 30", "model.head.hidden [] [256]", "train 20.0 30.0 1.50", "features – 4.0 –"):
        assert told in page.words
    one, other = two[1].before, two[1].after
    right = [each.predicted == each.targets for each in (one, other)]
    assert f"First right {(right[0] & right[1]).sum()} {len(two[1].compared.broken)}" in page.words
    assert f"First wrong {len(two[1].compared.fixed)} {(~right[0] & ~right[1]).sum()}" in page.words
    assert f"p = {two[1].compared.p_value:.4g}" in page.words


def test_nothing_is_asked_from_anywhere_and_no_absolute_path_is_told(two: list[RunComparison]) -> None:
    html = render_comparisons(two, "test", "transfercli runs compare a --runs /home/zebulon/runs")
    assert "zebulon" not in html
    assert "data.train" in html
    assert "…/my pictures" in html
    assert "http" not in html.replace("http-equiv", "")
    page = Page(html)
    for _, attributes in page.tags:
        assert all((attributes.get(key) or "#").startswith(("#", "data:")) for key in ("src", "href", "srcset"))
    policy = next(meta["content"] or "" for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert page.all("script") == [{}]


def test_hostile_names_stay_text() -> None:
    hostile = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "\u202e\udce9")
    (one, other), images = digit_models(1e-4, 1e-2, names=(*hostile, *NAMES[4:]))
    page = page_of(replace(comparison(one, other, images), challenger='x" onmouseover="alert(1)'))
    assert page.all("script") == [{}]
    assert not any({"onerror", "onmouseover"} & attributes.keys() for _, attributes in page.tags)
    assert "{{ 7 * 7 }}" in page.words
    assert "\u202e" not in page.words


def test_a_page_of_many_challengers_shows_no_more_images_than_one_of_one() -> None:
    assert gallery_size(1) * 2 == PICTURES
    assert gallery_size(4) * 2 * 4 == PICTURES
    assert gallery_size(100) == gallery_size(MOST_DETAILED) == 25


def adjusted(runs: Sequence[RunComparison]) -> list[RunComparison]:
    """The same, corrected for their number, with curves, and named by what differs."""
    compared = [run.compared for run in runs]
    corrected = adjust(compared, [each.p_value for each in compared])
    return [
        replace(run, adjusted=each, name=f"learning_rate 0.00{number}", lines=curve(3 + number, 0.1 * number))
        for number, (run, each) in enumerate(zip(runs, corrected, strict=True))
    ]


def curve(epochs: int, start: float) -> list[dict[str, float]]:
    return [
        {"epoch": epoch, "val_loss": 2.0 / epoch, "val_accuracy": min(1.0, start + 0.1 * epoch)}
        for epoch in range(1, epochs + 1)
    ]


def test_several_runs_are_one_table_the_largest_gain_first_with_corrected_p_values(two: list[RunComparison]) -> None:
    worse, better = adjusted(two)
    page = page_of(worse, replace(better, is_champion=True))
    table = page.words[page.words.index("All runs by accuracy") : page.words.index("Curves of 3 runs")]
    assert table.index("learning_rate 0.001") < table.index("learning_rate 0.000")
    assert "better, champion" in table
    assert better.adjusted is not None
    low, high = better.adjusted.interval or (0, 0)
    assert f"+{low:.4f} to +{high:.4f}" in table
    assert f"{better.adjusted.p_value:.3g} {better.adjusted.p_holm:.3g}" in table
    assert "corrected for their number (Holm 1979)" in table


def test_a_gain_that_does_not_survive_the_correction_is_no_verdict_of_the_page(two: list[RunComparison]) -> None:
    found = adjusted([two[1]])[0]
    assert found.adjusted is not None
    weak = replace(found, adjusted=replace(found.adjusted, p_holm=0.2, outcome="no difference"))
    words = page_of(weak, *adjusted(two)).words
    assert "no difference that these images can show" in words


def test_the_curves_of_all_runs_are_one_picture_with_a_legend_by_what_differs(two: list[RunComparison]) -> None:
    runs = adjusted([two[index % 2] for index in range(20)])
    page = Page(render_comparisons(runs, "test", "x", FirstRun("learning_rate 0.1", lines=curve(4, 0.0))))
    assert len([g for g in page.all("g") if (g["class"] or "").startswith("run ")]) == 2 * 21  # loss and accuracy
    styles = [(g["class"] or "").removeprefix("run ") for g in page.all("g")][:21]
    assert len({style for style in styles if style != "rest"}) == 19
    assert styles.count("rest") == 2
    assert "learning_rate 0.1 (the first run)" in page.words
    assert "the other 2" in page.words
    assert len([s for s in page.all("section") if (s["id"] or "").startswith("verdict-")]) == MOST_DETAILED
    assert f"Sections follow for the {MOST_DETAILED} that gain most" in page.words


def test_a_solved_head_is_a_dot_and_runs_without_a_log_have_no_curves(two: list[RunComparison]) -> None:
    probe = replace(two[1], lines=[{"epoch": 0, "val_loss": 0.3, "val_accuracy": 0.9}])
    html = render_comparisons([probe], "test", "x", FirstRun("a"))
    assert html.count('class="dot"') == 2
    assert 'id="curves"' not in render_comparisons([two[1]], "test", "x", FirstRun("a"))
    diverged = replace(two[1], lines=[{"epoch": 1, "val_loss": None, "val_accuracy": None}])
    assert 'id="curves"' not in render_comparisons([diverged], "test", "x", FirstRun("a"))


def test_a_hostile_name_in_a_curve_stays_text(two: list[RunComparison]) -> None:
    named = replace(two[1], name="<script>x</script>", lines=curve(3, 0.1))
    page = page_of(named)
    assert page.all("script") == [{}]
    assert "<script>x</script>" in page.words
