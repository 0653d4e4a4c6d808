"""The page of `sweep --report`."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.evaluation.page_reading import Page
from tests.evaluation.sweeps import AXES, HOSTILE, searched_trials, sweep_page
from transfercli.evaluation.report.search.page import Score, SweepPage, Winner, render_sweep_page
from transfercli.evaluation.statistics.importance import KeyImportance

SECTIONS = ["verdict", "search", "parallel", "importance", "progress", "slices", "trials", "use"]


def read(page: SweepPage) -> Page:
    return Page(render_sweep_page(page))


def scores(page: Page) -> list[float]:
    """The numbers of the three cards."""
    return [float(number) for number in re.findall(r"(?:saw it|choice|test images) (0\.\d{4})", page.words)]


def test_every_section_is_named_linked_and_described() -> None:
    page = read(sweep_page())
    assert [section["id"] for section in page.all("section")] == SECTIONS
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {section["aria-labelledby"] for section in page.all("section")} <= set(ids)
    assert {f"#{name}" for name in SECTIONS} <= {link["href"] for link in page.all("a")}
    assert {link["href"] for link in page.all("a") if str(link["href"]).startswith("#")} <= {f"#{name}" for name in ids}
    described = {attributes["aria-describedby"] for _, attributes in page.tags if "aria-describedby" in attributes}
    assert described <= set(ids)


def test_every_trial_has_a_line_with_its_values_and_a_row() -> None:
    shown = sweep_page(64)
    page = read(shown)
    lines = {path["id"]: path for path in page.all("path") if str(path.get("id")).startswith("line-")}
    rows = {row["id"] for row in page.all("tr") if "id" in row}
    assert set(lines) == {f"line-{trial.number}" for trial in shown.trials}
    assert rows == {f"trial-{trial.number}" for trial in shown.trials}
    for trial in shown.trials:
        names = str(lines[f"line-{trial.number}"]["class"]).split()
        assert ("unscored" in names) == (trial.score is None)
        assert trial.state in names or "winner" in names
        assert f"trial {trial.number}, " in page.words
    assert f"training.optimizer.learning_rate: {shown.trials[0].values['training.optimizer.learning_rate']:.4g}" in (
        page.words
    )


def test_the_three_scores_of_the_winner_stand_beside_one_another() -> None:
    shown = sweep_page()
    assert shown.winner is not None
    page = read(shown)
    best = shown.winner.naive.value
    assert scores(page) == pytest.approx([best, best - 0.02, best - 0.03], abs=5e-5)
    scored = sum(trial.score is not None for trial in shown.trials)
    assert f"Trial {shown.winner.trial} is the best of {scored} completed trials" in page.words
    assert "2 of the 70 trials are not distinguishable." in page.words
    assert page.words.count("the cheapest within one standard error") == 1
    assert page.all("section")[0]["class"] == "verdict passed"


def test_a_score_that_is_not_corrected_says_why() -> None:
    winner = Winner(trial=0, naive=Score(0.5), corrected_words="the runs keep no answers", test_words="there are none")
    page = read(sweep_page(1, winner=winner))
    assert "Trial 0 is the only trial" in page.words
    assert "corrected for the choice – the runs keep no answers on test images – there are none" in page.words
    assert "looks better than it is" not in page.words


def test_names_and_values_are_escaped_and_no_path_of_a_machine_is_shown() -> None:
    text = render_sweep_page(sweep_page())
    assert "<b>x</b>" not in text
    assert HOSTILE not in text
    assert "zebulon" not in text
    assert "<b>x</b> ünï" in Page(text).words
    assert HOSTILE in Page(text).words


def test_it_loads_nothing_and_the_same_trials_give_the_same_bytes() -> None:
    text = render_sweep_page(sweep_page())
    assert text == render_sweep_page(sweep_page())
    page = Page(text)
    assert not [value for _, attributes in page.tags for value in attributes.values() if "//" in (value or "")]
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'")
    assert {link["href"] for link in page.all("link")} == {"data:,"}
    assert "src" not in page.all("script")[0]


def test_all_failed_says_why_and_offers_no_values() -> None:
    trials = [replace(trial, state="failed", score=None, reason="the loss is <nan>") for trial in searched_trials(12)]
    page = read(sweep_page(trials=trials, winner=None))
    assert "No trial of 12 is completed 12 trials: the loss is <nan>" in page.words
    assert [section["id"] for section in page.all("section")] == [name for name in SECTIONS if name != "slices"]
    assert "0 completed trials cannot show which key matters: it takes 10 or more" in page.words
    assert "How to use the winner" not in page.words


def test_a_sweep_without_a_trial_has_a_page() -> None:
    assert "No trial has begun" in read(sweep_page(0, winner=None)).words


def test_importances_name_the_keys_that_are_no_more_than_luck() -> None:
    rate = KeyImportance(AXES[0].key, 0.9, (0.85, 0.95), 0.3)
    others = [KeyImportance(axis.key, 0.01, (0.0, 0.1), 0.2) for axis in AXES[1:]]
    some = read(sweep_page(importances=[rate, *others]))
    assert "For the other 5 keys these trials show no more than chance would." in some.words
    assert "90.0% 85.0% to 95.0% 30.0% yes" in some.words
    none = read(sweep_page(importances=others))
    assert "are too few, or the scores too noisy, to tell which key matters" in none.words


def test_the_most_important_key_stands_next_to_the_score() -> None:
    importances = [KeyImportance(axis.key, 1 / n, (0, 1), 0) for n, axis in enumerate(AXES, 1)]
    picture = render_sweep_page(sweep_page(importances=importances))
    names = re.findall(r'<text class="middle name"[^>]*>([^<]*)<', picture)
    assert names == ["base", "batch_size", "augmentation", "dropout", "hidden", "learning_rate", "val_accuracy"]


def test_a_lower_loss_is_the_best() -> None:
    shown = sweep_page(40, metric="val_loss", lower=True)
    scored = {trial.number: trial.score for trial in shown.trials if trial.score is not None}
    best = min(scored, key=lambda number: scored[number])
    page = read(replace(shown, winner=Winner(trial=best, naive=Score(scored[best]))))
    line = next(path for path in page.all("path") if path.get("id") == f"line-{best}")
    assert line["class"] == "line winner"
    assert line["style"] == "--share:1.000"
    assert str(line["d"]).endswith(" 52.0")  # the top of the axis of scores


def test_two_keys_with_the_same_last_name_are_told_apart_in_the_table() -> None:
    axes = (AXES[2], replace(AXES[2], key="model.tail.dropout"))
    heads = [head.get("title") for head in read(sweep_page(3, axes=axes)).all("th")]
    assert {"model.head.dropout", "model.tail.dropout"} <= set(heads)
    assert "model.tail.dropout" in read(sweep_page(3, axes=axes)).words


@pytest.mark.parametrize("count", [1, 2, 500])
def test_any_number_of_trials_has_a_page(count: int) -> None:
    text = render_sweep_page(sweep_page(count))
    assert len(Page(text).all("tr")) > count
    assert len(text) < 40_000 + 2_500 * count
