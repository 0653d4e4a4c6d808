"""What holds of every page, in a browser: on a screen or a phone, with a mouse or a keyboard, light or dark."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser


def test_nothing_is_logged_and_nothing_asked_for_but_the_page(visit: Visit) -> None:
    assert visit.logged == []
    assert [url for url in visit.asked if not url.startswith("data:")] == [visit.file.as_uri()]


def test_every_section_is_seen_and_no_line_is_wider_than_the_screen(visit: Visit) -> None:
    sections = visit.page.locator("section").all()
    assert len(sections) >= 8
    assert all(section.is_visible() for section in sections)
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
