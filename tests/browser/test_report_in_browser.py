"""The report as people meet it: in a browser, on a screen or a phone, with a mouse or a keyboard, light or dark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SECTIONS = (
    "verdict", "metrics", "classes", "training", "confusion", "calibration", "coverage", "mistakes", "unsure", "right",
    "labels", "slices", "data", "config", "environment", "reproduce",
)  # fmt: skip


@dataclass
class Visit:
    """An open page, what it logged and what it asked for."""

    page: Any
    logged: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(
    scope="module",
    params=[(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")],
    ids=["desktop-light", "desktop-dark", "phone-light", "phone-dark"],
)
def visit(request: pytest.FixtureRequest, browser: Any, report_file: Path) -> Iterator[Visit]:
    size, scheme = request.param
    context = browser.new_context(viewport=size, color_scheme=scheme)
    found = Visit(context.new_page())
    found.page.on("console", lambda message: found.logged.append(message.text))
    found.page.on("pageerror", lambda error: found.logged.append(str(error)))
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.goto(report_file.as_uri(), wait_until="load")
    yield found
    context.close()


def test_nothing_is_logged_and_nothing_asked_for_but_the_page(visit: Visit, report_file: Path) -> None:
    assert visit.logged == []
    assert [url for url in visit.asked if not url.startswith("data:")] == [report_file.as_uri()]


def test_every_section_is_seen_and_no_line_is_wider_than_the_screen(visit: Visit) -> None:
    for name in SECTIONS:
        assert visit.page.locator(f"section#{name}").is_visible(), name
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_all_pictures_show(visit: Visit) -> None:
    broken = "[...document.images].filter((image) => image.complete && !image.naturalWidth).map((image) => image.alt)"
    # confusion_matrix.png of the fixture is no picture, and is not on the page of ten classes
    assert visit.page.evaluate(broken) == []


def test_axe_finds_nothing(visit: Visit) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(visit.page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_the_keyboard_reaches_everything_that_does_something(visit: Visit) -> None:
    page = visit.page
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    wanted = page.evaluate(
        "[...document.querySelectorAll('a, button, select, summary, [tabindex=\"0\"]')]"
        ".filter((one) => one.checkVisibility()).length"
    )
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    nowhere = page.evaluate("[...document.querySelectorAll('*')].indexOf(document.body)")
    assert len(reached - {nowhere, -1}) >= wanted


@pytest.fixture
def fresh(browser: Any, report_file: Path) -> Iterator[Any]:
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.goto(report_file.as_uri(), wait_until="load")
    yield page
    context.close()


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
