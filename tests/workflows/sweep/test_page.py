"""`sweep --report`: the page is written at the end of a sweep, and again without any training."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.page_reading import Page
from tests.workflows.sweep.conftest import SPACE, Formula, Sweeps
from transfercli.config.loader import load
from transfercli.config.schema import SearchRange
from transfercli.errors import TransferError, UsageError
from transfercli.workflows.sweep.page import search_axes, write_sweep_page
from transfercli.workflows.sweep.result import SweepRequest, SweepResult, TrialRow

RATE = "training.optimizer.learning_rate"
SENTENCES = ("accuracy 0.8 …", "2 of the 12 trials are not distinguishable on these 50 images")
HONEST = {
    "corrected": 0.81,
    "interval": [0.7, 0.85],
    "reason": None,
    "test": {"value": 0.79, "examples": 500, "metrics": {}, "intervals": {"accuracy": [0.75, 0.83]}},
}


def page_of(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_has_every_trial_and_is_written_again_without_training(sweeps: Sweeps, formula: Formula) -> None:
    page = sweeps.folder / "page.html"
    result = sweeps.run(report=page)
    assert result.as_json()["report"] == str(page)
    first = page.read_bytes()
    rows = {row["id"] for row in page_of(page).all("tr") if "id" in row}
    assert rows == {f"trial-{row.number}" for row in result.trials}
    assert str(sweeps.folder) not in first.decode()

    formula.trained.clear()
    page.unlink()
    sweeps.run(report=page)
    assert formula.trained == []
    assert page.read_bytes() == first


def test_the_page_gives_the_lines_and_the_command_of_the_winner(sweeps: Sweeps, formula: Formula) -> None:
    page = sweeps.folder / "page.html"
    result = sweeps.run(report=page)
    assert result.winner is not None
    best = result.trials[result.winner["trial"]]
    words = page_of(page).words
    lines = re.search(r"for the config: (.*) Or train it alone: (.*) The sweep goes on", words)
    assert lines is not None
    config = sweeps.folder / "pasted.yaml"
    config.write_text("extends: flowers.yaml\n" + page.read_text().split("<pre")[1].split(">", 1)[1].split("</pre>")[0])
    chosen = load(config).config
    assert chosen.training.optimizer.learning_rate == best.values[RATE]
    assert list(chosen.model.head.hidden) == best.values["model.head.hidden"]
    assert f"--set {RATE}={best.values[RATE]}" in lines[2]
    assert f"flowers/{result.sweep}-{best.number:03d}" in words


def test_a_page_that_cannot_be_written_is_refused_before_any_training(sweeps: Sweeps, formula: Formula) -> None:
    with pytest.raises(UsageError, match="--report"):
        sweeps.run(report=sweeps.folder / "missing" / "page.html")
    assert formula.trained == []


def test_a_sweep_whose_trials_all_failed_has_a_page_that_says_why(sweeps: Sweeps, formula: Formula) -> None:
    page = sweeps.folder / "page.html"
    failed = TrialRow(0, {}, "failed", reason="the loss is <nan>", code=1)
    formula.failures = {number: replace(failed, number=number) for number in range(12)}
    with pytest.raises(TransferError, match="all 12 trials failed"):
        sweeps.run(report=page)
    assert "No trial of 12 is completed 12 trials: the loss is <nan>" in page_of(page).words


def test_the_three_scores_are_those_of_the_result(sweeps: Sweeps, formula: Formula) -> None:
    result = sweeps.run()
    winner = {**(result.winner or {}), **HONEST, "naive": 0.8333}
    first, other = winner["trial"], (winner["trial"] + 1) % 12
    rival = {"score": 0.83, "difference": 0.0, "error": 0.01, "cost": {"multiply_adds": 200, "parameters": 9}}
    winner["indistinguishable"] = [
        {**rival, "trial": first},
        {**rival, "trial": other, "difference": -0.005, "cost": {"multiply_adds": 100, "parameters": 9}},
    ]
    winner["one_standard_error"] = winner["indistinguishable"][1]
    words = write(sweeps, replace(result, winner=winner, sentences=SENTENCES)).words
    assert "0.8333 val accuracy" in words
    assert "0.8100 95%: 0.7000 to 0.8500 to be expected on new images" in words
    assert "0.7900 95%: 0.7500 to 0.8300 500 images that nothing else in the sweep reads" in words
    assert "2 of the 12 trials are not distinguishable on these 50 images." in words
    assert f"{other} 0.8300 −0.0050 0.0100 50.0% the cheapest within one standard error" in words


def test_a_result_without_a_correction_says_why(sweeps: Sweeps, formula: Formula) -> None:
    result = sweeps.run()
    plain = {**(result.winner or {}), "corrected": None, "reason": "the runs keep no answers", "test": None}
    words = write(sweeps, replace(result, winner=plain)).words
    assert "corrected for the choice – the runs keep no answers on test images – there are none" in words


def write(sweeps: Sweeps, result: SweepResult, **options: Any) -> Page:
    page = sweeps.folder / "other.html"
    config = load(sweeps.config(SPACE)).config
    assert config.sweep is not None
    request = SweepRequest(sweeps.folder / "flowers.yaml", sweeps.folder / "runs", **options)
    write_sweep_page(page, result, config.sweep, request)
    return page_of(page)


def test_the_command_that_goes_on_shows_no_password_and_no_folder_of_this_machine(
    sweeps: Sweeps, formula: Formula
) -> None:
    words = write(sweeps, sweeps.run(), storage="mysql://ann:secret@host/db", sweep_id="mine").words
    assert "transfercli sweep '…/flowers.yaml' --run-id mine --storage 'mysql:…/db' --runs '…/runs'" in words
    assert "secret" not in words


def test_axes_hold_the_values_of_trials_that_the_space_no_longer_has() -> None:
    space = {
        "a": SearchRange(log=[1e-3, 1e-2]),
        "b": SearchRange(choice=[[], {"x": 1}]),
        "c": SearchRange(range=[2, 5]),
    }
    rate, choice, number = search_axes(space, [{"a": 0.1, "b": [7], "c": 9}, {"a": 0.001, "b": {"x": 1}, "c": 2}])
    assert (rate.scale, rate.low, rate.high) == ("log", 1e-3, 0.1)
    assert choice.choices == ([], {"x": 1}, [7])
    assert (number.scale, number.low, number.high) == ("linear", 2, 9)
