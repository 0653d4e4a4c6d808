"""The page of `runs compare --report` as people use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import on_desktop

pytestmark = pytest.mark.browser


@pytest.fixture
def fresh(browser: Any, comparison_file: Path) -> Iterator[Any]:
    with on_desktop(browser, comparison_file) as page:
        yield page


def test_the_counts_of_images_lead_to_them(fresh: Any) -> None:
    fresh.locator("#answers a").first.focus()
    fresh.keyboard.press("Enter")
    assert fresh.url.endswith("#broken")
    assert fresh.locator("#broken li").count() == int(fresh.locator("#answers a").first.inner_text())


def test_an_image_that_is_gone_has_words_in_its_place(fresh: Any) -> None:
    assert fresh.locator(".gone").all_inner_texts() == ["No picture: the file is gone from …/x"]
    gone, picture = (fresh.locator(name).first.bounding_box() for name in ("#broken .gone", "#broken img"))
    assert (gone["width"], gone["height"]) == pytest.approx((picture["width"], picture["height"]), abs=1)


def test_more_images_than_one_screen_wait_behind_a_summary(fresh: Any) -> None:
    hidden = fresh.locator("#fixed details img")
    assert not hidden.first.is_visible()
    fresh.locator("#fixed summary").focus()
    fresh.keyboard.press("Enter")
    assert hidden.count() == 16
    assert hidden.last.is_visible()


def test_classes_are_sorted_by_what_they_gained(fresh: Any) -> None:
    head = fresh.locator("#classes th", has_text="Recall")
    for way, reverse in (("descending", True), ("ascending", False)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == way
        texts = fresh.locator("#classes tbody tr td:nth-child(5)").all_inner_texts()
        gains = [float(text.replace("−", "-")) for text in texts]
        assert gains == sorted(gains, reverse=reverse)
        assert len(set(gains)) > 5


def test_bars_lie_on_the_side_that_their_words_say(fresh: Any) -> None:
    place = "(bar) => parseFloat(bar.querySelector('u').style.left)"
    for bar in fresh.locator(".around.good").all():
        assert bar.evaluate(place) > 50
    assert fresh.locator("#metrics .around.good").count() >= 10


def test_it_prints_all_images(fresh: Any) -> None:
    fresh.emulate_media(media="print")
    assert not fresh.locator("nav").is_visible()
    assert fresh.locator("#fixed details img").last.is_visible()
    assert fresh.pdf()[:5] == b"%PDF-"
