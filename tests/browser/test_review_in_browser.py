"""The label review as people use it: with the keyboard alone, on a phone, and after a reload."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.site_server import SiteServer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def reviewed_runs(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Path:
    """A run on digits 0-4, of which ten have wrong labels."""
    from tests.workflows.conftest import World

    world = World(tmp_path_factory.mktemp("reviewed"), digits_folder)
    images = Path(shutil.copytree(digits_folder / "digits-source", world.folder / "images"))
    for file in sorted((images / "train").rglob("*.png"))[::60][:10]:
        file.rename(images / "train" / str((int(file.parent.name) + 1) % 5) / f"moved-{file.name}")
    world.train("pretrain", world.config("digits", "", data={"train": str(images)}, training={"epochs": 5}))
    return world.runs


class Server(SiteServer):
    """The site of an experiment that is reviewed. log: the decisions."""

    def __init__(self, runs: Path, *, allow_changes: bool = True) -> None:
        super().__init__(runs, allow_changes=allow_changes)
        self.log = runs / "digits" / "corrections.csv"

    def decisions(self) -> list[dict[str, str]]:
        with self.log.open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def server(reviewed_runs: Path, tmp_path: Path) -> Iterator[Server]:
    found = Server(Path(shutil.copytree(reviewed_runs, tmp_path / "runs", symlinks=True)))
    yield found
    found.stop()


def opened(context: Any, address: str) -> Any:
    page = context.new_page()
    page.logged = []
    page.on("console", lambda message: page.logged.append(message.text))
    page.on("pageerror", lambda error: page.logged.append(str(error)))
    page.goto(f"{address}/review/digits")
    page.wait_for_selector("#item:not([hidden])", timeout=120_000)
    return page


def shown(page: Any, number: int) -> str:
    """Wait until the image of a number is shown, and return its path."""
    from playwright.sync_api import expect

    expect(page.locator("#item-title")).to_have_text(re.compile(f"^Image {number} of "), timeout=30_000)
    return str(page.locator("#path").inner_text())


@pytest.fixture(params=[(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop-light", "phone-dark"])
def page(request: pytest.FixtureRequest, browser: Any, server: Server) -> Iterator[Any]:
    size, scheme = request.param
    context = browser.new_context(viewport=size, color_scheme=scheme)
    yield opened(context, server.address)
    context.close()


def test_every_decision_can_be_made_with_the_keyboard(page: Any, server: Server) -> None:
    first = shown(page, 1)
    page.keyboard.press("k")
    second = shown(page, 2)
    answer = page.locator("#answers button").nth(1)
    chosen = answer.locator("span").first.inner_text()
    page.keyboard.press(chosen)  # the key of a label that is named by a digit, whatever its place in the list
    third = shown(page, 3)
    page.keyboard.press("s")
    fourth = shown(page, 4)
    page.keyboard.press("c")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    shown(page, 5)
    page.keyboard.press("u")
    assert shown(page, 4) == fourth
    rows = server.decisions()
    assert [row["path"] for row in rows] == [first, second, fourth, fourth]
    assert rows[0]["old"] == rows[0]["new"]
    assert [row["new"] for row in rows[1:]] == [chosen, "3", ""]
    assert third not in {row["path"] for row in rows}
    assert page.logged == []


def test_a_label_named_by_a_digit_has_this_key_also_beyond_the_list(page: Any, server: Server) -> None:
    names = page.locator("#answers span:first-child").all_text_contents()
    assert sorted(names) == ["0", "1", "2", "3", "4"]
    assert page.locator("#answers kbd").all_text_contents() == names

    def fewer(route: Any) -> None:
        found = route.fetch()
        route.fulfill(response=found, json=found.json() | {"answers": [["3", 0.6], ["zebra", 0.3], ["ant", 0.1]]})

    page.route(re.compile(r"/images/\d+$"), fewer)
    page.keyboard.press("s")
    second = shown(page, 2)
    keys = [page.locator("#answers li").nth(place).locator("kbd") for place in range(3)]
    assert [key.count() for key in keys] == [1, 0, 0]  # 2 and 3 are names of other labels
    page.keyboard.press("0")
    shown(page, 3)
    assert [(row["path"], row["new"]) for row in server.decisions()] == [(second, "0")]


def test_labels_with_names_have_the_key_of_their_place(page: Any, server: Server) -> None:
    names = ["ant", "bee", "cat"]

    def state(route: Any) -> None:
        found = route.fetch()
        route.fulfill(response=found, json=found.json() | {"labels": names})

    def image(route: Any) -> None:
        found = route.fetch()
        answers = [[name, 0.3] for name in names]
        route.fulfill(response=found, json=found.json() | {"label": "ant", "answers": answers})

    page.route(re.compile(r"/state$"), state)
    page.route(re.compile(r"/images/\d+$"), image)
    page.reload()
    shown(page, 1)
    assert page.locator("#answers kbd").all_text_contents() == ["1", "2", "3"]
    with page.expect_request(re.compile("/decisions$")) as sent:
        page.keyboard.press("2")
    assert sent.value.post_data_json["label"] == "bee"


def test_a_page_warns_of_a_row_that_was_cut_short(browser: Any, server: Server) -> None:
    server.log.write_bytes(b"path,sha256,old,new,who,when\ntrain/0/")
    page = browser.new_page(viewport=PHONE)
    page.goto(f"{server.address}/review/digits?queue=unsure")
    page.wait_for_selector("#item:not([hidden])", timeout=120_000)
    assert "a row that was cut short is left out" in page.locator("#warnings").inner_text()
    page.close()


def test_a_key_never_decides_on_an_image_that_is_not_shown_yet(page: Any, server: Server) -> None:
    from playwright.sync_api import expect

    first = shown(page, 1)
    waiting: list[Any] = []
    page.route(re.compile(r"/images/\d+$"), lambda route: waiting.append(route), times=1)
    other = page.locator("#answers button[aria-pressed=false] span").first.inner_text()
    page.locator("#answers button[aria-pressed=false]").first.click()
    expect(page.locator("#message")).to_contain_text(", was ")
    page.keyboard.press("k")  # meant for the second image, whose answer is still on its way
    waiting[0].continue_()
    shown(page, 2)
    page.keyboard.press("s")
    shown(page, 3)
    assert [(row["path"], row["new"]) for row in server.decisions()] == [(first, other)]


def test_every_control_is_reached_and_works_by_tab_and_enter(page: Any, server: Server) -> None:
    first = shown(page, 1)
    reached = set()
    page.locator("#main").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"answer", "choice", "choose", "keep", "skip", "who", "keys"} <= reached
    page.locator("#who").fill("Ann")
    page.locator("#keep").focus()
    page.keyboard.press("Enter")
    shown(page, 2)
    assert [(row["path"], row["who"]) for row in server.decisions()] == [(first, "Ann")]


def test_keys_can_be_turned_off_and_do_nothing_in_a_field(page: Any, server: Server) -> None:
    shown(page, 1)
    page.locator("#who").press("k")
    assert page.locator("#who").input_value() == "k"
    page.locator("#keys").uncheck()
    page.locator("#item-title").focus()
    page.keyboard.press("k")
    page.locator("#skip").click()
    shown(page, 2)
    assert not server.log.exists()


def test_a_reload_goes_on_with_what_is_open(page: Any) -> None:
    shown(page, 1)
    page.keyboard.press("k")
    second = shown(page, 2)
    page.reload()
    page.wait_for_selector("#item:not([hidden])")
    assert shown(page, 1) == second


def test_a_decision_that_cannot_be_stored_says_so_and_the_image_stays(page: Any, server: Server) -> None:
    first = shown(page, 1)
    server.stop()
    page.keyboard.press("k")
    page.wait_for_selector("#message.bad")
    assert "nothing was stored" in page.locator("#message").inner_text()
    assert shown(page, 1) == first


def test_the_page_has_no_violation_and_fits_its_screen(page: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    shown(page, 1)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.logged == []


def test_a_read_only_page_offers_no_decision(browser: Any, reviewed_runs: Path, tmp_path: Path) -> None:
    site = Server(Path(shutil.copytree(reviewed_runs, tmp_path / "runs", symlinks=True)), allow_changes=False)
    context = browser.new_context(viewport=DESKTOP)
    page = opened(context, site.address)
    first = shown(page, 1)
    page.keyboard.press("k")
    page.keyboard.press("s")
    shown(page, 2)
    page.keyboard.press("b")
    assert shown(page, 1) == first
    assert page.locator("#keep").count() == 0
    assert not site.log.exists()
    context.close()
    site.stop()
