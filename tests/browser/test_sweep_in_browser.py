"""The page of `sweep --report` as people use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import on_desktop

pytestmark = pytest.mark.browser


@pytest.fixture
def fresh(browser: Any, sweep_file: Path) -> Iterator[Any]:
    with on_desktop(browser, sweep_file) as page:
        yield page


def test_a_number_in_the_table_leads_to_the_line_of_the_trial(fresh: Any) -> None:
    line = fresh.locator("#line-3")
    thin = line.evaluate("(line) => parseFloat(getComputedStyle(line).strokeWidth)")
    fresh.locator("#trial-3 a").focus()
    fresh.keyboard.press("Enter")
    assert fresh.url.endswith("#line-3")
    assert line.evaluate("(line) => parseFloat(getComputedStyle(line).strokeWidth)") > thin


def test_trials_are_sorted_by_score_with_those_without_one_at_an_end(fresh: Any) -> None:
    head = fresh.locator("#trials thead th").nth(1)
    for reverse in (True, False):
        head.locator("button").click()
        texts = fresh.locator("#trials tbody tr td:nth-child(2)").all_inner_texts()
        scores = [float(text) for text in texts if text != "–"]
        assert scores == sorted(scores, reverse=reverse)
        assert len(set(scores)) > 50


def test_it_prints_without_cutting_the_table(fresh: Any) -> None:
    fresh.emulate_media(media="print")
    assert not fresh.locator("nav").is_visible()
    assert fresh.pdf()[:5] == b"%PDF-"
