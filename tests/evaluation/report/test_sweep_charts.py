"""Charts of a sweep: best so far, and slices."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.evaluation.page_reading import Page
from transfercli.evaluation.report.search.charts import (
    SearchedTrial,
    best_so_far_chart,
    progress_words,
    score_range,
    slice_chart,
    slice_words,
)
from transfercli.evaluation.report.search.parallel_coordinates import SearchAxis

DROPOUT = SearchAxis("dropout", "linear", 0.0, 1.0)
BASE = SearchAxis("base", "choice", choices=("a", "b", "c"))


def trials(*scores: float | None, state: str = "pruned") -> list[SearchedTrial]:
    """Trials 0, 1, …; without a score in `state`."""
    return [
        SearchedTrial(n, "completed" if score is not None else state, {"dropout": n / 10, "base": "ab"[n % 2]}, score)
        for n, score in enumerate(scores)
    ]


def chart(*scores: float | None, **options: Any) -> Page:
    return Page(str(best_so_far_chart(trials(*scores, **options), "val_accuracy", lower=False)))


def test_the_line_only_rises_and_passes_every_new_best() -> None:
    page = chart(0.5, 0.7, 0.6, None, 0.9)
    path = next(path["d"] for path in page.all("path"))
    heights = [float(y) for y in re.findall(r"V(\d+\.\d)", str(path))]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 2  # after the start at 0.5
    assert len(page.all("circle")) == 4
    assert page.all("svg")[0]["aria-label"] == (
        "best val_accuracy so far by trial: 0.5 at first, 0.9 from trial 4 on; 0 more did not beat it."
    )


@pytest.mark.parametrize("state, marks", [("pruned", 1), ("failed", 2), ("running", 0)])
def test_pruned_and_failed_trials_have_different_marks(state: str, marks: int) -> None:
    page = chart(0.5, None, 0.6, state=state)
    assert len([line for line in page.all("line") if "mark" in str(line["class"])]) == marks


def test_no_score_is_no_chart() -> None:
    assert best_so_far_chart(trials(None, None), "val_accuracy", lower=False) is None
    assert slice_chart(DROPOUT, trials(None), None, lower=False) is None


def test_one_trial_has_a_chart() -> None:
    assert "the first with a score, was never beaten (0.5)" in str(chart(0.5).all("svg")[0]["aria-label"])


def test_a_lower_loss_is_the_best_so_far() -> None:
    assert progress_words(trials(0.5, 0.4, 0.6), lower=True) == (
        "0.5 at first, 0.4 from trial 1 on; 1 more did not beat it."
    )


def test_a_tail_of_bad_scores_does_not_flatten_the_others() -> None:
    assert score_range([0.80, 0.82, 0.84, 0.1], lower=False) == pytest.approx((0.66, 0.84))
    assert score_range([1.0, 1.2, 50.0], lower=True) == pytest.approx((1.0, 2.2))
    assert score_range([0.5, 0.5], lower=False) == (0.5, 0.5)
    heights = [float(str(dot["cy"])) for dot in chart(0.80, 0.82, 0.84, 0.1).all("circle")]
    assert max(heights) < 260


def test_a_slice_says_what_the_best_trials_have() -> None:
    shown = trials(*(0.5 + 0.01 * n for n in range(10)))
    assert slice_words(DROPOUT, shown, lower=False) == "the best 2 trials have 0.8 to 0.9"
    assert slice_words(DROPOUT, shown, lower=True) == "the best 2 trials have 0 to 0.1"
    assert slice_words(BASE, shown, lower=False) == "medians: a 0.54; b 0.55"


def test_of_trials_with_an_equal_score_the_winner_is_the_best() -> None:
    shown = trials(0.9, 0.5, 0.9)
    assert slice_words(DROPOUT, shown, 2, lower=False) == "the best trial has 0.2"
    assert progress_words(shown, lower=False).endswith("was never beaten (0.9); trial 2 reached the same.")


def test_the_winner_is_marked_in_a_slice_and_choices_have_medians() -> None:
    page = Page(str(slice_chart(BASE, trials(0.5, 0.6, 0.7, 0.8), 3, lower=False)))
    assert [dot["class"] for dot in page.all("circle")].count("dot training") == 1
    assert len([line for line in page.all("line") if line["class"] == "median"]) == 2
    places = {str(dot["cx"]) for dot in page.all("circle")}
    assert len(places) == 4  # dots of one choice stand beside one another
