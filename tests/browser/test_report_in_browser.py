"""The report as people meet it: in a browser, on a screen or a phone, with a mouse or a keyboard, light or dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import on_desktop

pytestmark = pytest.mark.browser

SECTIONS = (
    "verdict", "metrics", "classes", "training", "confusion", "calibration", "coverage", "mistakes", "unsure", "right",
    "labels", "slices", "robustness", "data", "config", "environment", "reproduce",
)  # fmt: skip


@pytest.fixture
def fresh(browser: Any, report_file: Path) -> Iterator[Any]:
    with on_desktop(browser, report_file) as page:
        yield page


def test_a_cell_of_the_matrix_leads_to_its_images(fresh: Any) -> None:
    link = fresh.locator("#matrix td:not(.strong) a").first
    behind = fresh.locator(link.get_attribute("href"))
    assert not behind.is_visible()
    link.focus()
    fresh.keyboard.press("Enter")
    assert behind.is_visible()
    assert behind.locator("img").count() == min(8, int(link.inner_text()))


def test_the_matrix_is_sorted_with_its_columns(fresh: Any) -> None:
    def cells() -> dict[tuple[str, str], str]:
        names = fresh.locator("#matrix thead th").all_inner_texts()
        rows = fresh.locator("#matrix tbody tr").all()
        return {
            (row.locator("th").inner_text(), name): text
            for row in rows
            for name, text in zip(names, row.locator("td").all_inner_texts(), strict=True)
        }

    before, order = cells(), fresh.locator("#matrix tbody th").all_inner_texts()
    fresh.select_option("#order", "mistakes")
    assert cells() == before
    mistakes = fresh.eval_on_selector_all("#matrix tbody tr", "(rows) => rows.map((row) => +row.dataset.mistakes)")
    assert mistakes == sorted(mistakes, reverse=True)
    assert fresh.locator("#matrix tbody th").all_inner_texts() == fresh.locator("#matrix thead th").all_inner_texts()
    fresh.select_option("#order", "place")
    assert fresh.locator("#matrix tbody th").all_inner_texts() == order


def test_a_table_is_sorted_by_its_head_both_ways(fresh: Any) -> None:
    head = fresh.locator("#classes th", has_text="Recall")
    for way, reverse in (("descending", True), ("ascending", False)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == way
        recalls = [float(text) for text in fresh.locator("#classes tbody tr td:nth-child(3)").all_inner_texts()]
        assert recalls == sorted(recalls, reverse=reverse)


def test_without_scripts_all_is_there_but_the_sorting(browser: Any, report_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report_file.as_uri())
    assert all(page.locator(f"section#{name}").is_visible() for name in SECTIONS)
    assert not page.locator("#order").is_visible()
    assert page.locator("th button").count() == 0
    context.close()


def test_it_prints(fresh: Any) -> None:
    fresh.emulate_media(media="print")
    assert not fresh.locator("nav").is_visible()
    assert fresh.locator("#config pre").is_visible()
    assert fresh.pdf()[:5] == b"%PDF-"
