"""The wall of pictures and the try-out in a real Chromium: keyboard, a camera, ten thousand pictures, axe."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import DESKTOP, PHONE, launched
from tests.browser.site_server import SiteServer, add_images, watched

pytestmark = pytest.mark.browser
MANY = 10_000
LONGEST = 120_000  # milliseconds, for a network to load on a busy machine


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Any:
    """A run on digits 0-4 that was evaluated."""
    from tests.workflows.conftest import World
    from transfercli.reporting import Reporter
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

    found = World(tmp_path_factory.mktemp("wall"), digits_folder)
    found.train("pretrain", found.config("digits", "digits-source", training={"epochs": 2}))
    evaluate_run(EvaluateRequest("digits", found.runs), Reporter())
    return found


@pytest.fixture(scope="module")
def server(world: Any) -> Iterator[SiteServer]:
    found = SiteServer(world.runs)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def label(world: Any) -> str:
    return "/".join((world.runs / "digits" / "latest").resolve().parts[-2:])


@pytest.fixture(scope="module")
def camera(driver: Any) -> Iterator[Any]:
    """A browser with a camera that shows a test picture."""
    found = launched(driver, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    yield found
    found.close()


def index_of(page: Any) -> int:
    return int(page.evaluate("Number(document.activeElement.dataset.index)"))


def test_the_wall_is_walked_and_opened_with_the_keyboard_alone(camera: Any, server: SiteServer, label: str) -> None:
    context = camera.new_context(viewport=DESKTOP)
    page = context.new_page()
    logged = watched(page)
    page.goto(f"{server.address}/wall/{label}/test?show=all")
    page.wait_for_selector('.tile[tabindex="0"] img')
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('tile')"):
            break
    assert index_of(page) == 0
    columns = page.evaluate("getComputedStyle(document.querySelector('.tiles')).gridTemplateColumns.split(' ').length")
    count = int(page.locator("#wall").get_attribute("data-count"))
    steps = [("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowLeft", columns), ("End", count - 1), ("Home", 0)]
    for key, expected in steps:
        page.keyboard.press(key)
        page.wait_for_selector(f'.tile[data-index="{expected}"]:focus')
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] #picture-top li")
    first = page.inner_text("#picture-title")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"#picture-title:not(:text-is('{first}'))")
    page.locator("#picture-actions button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#picture-heat img", state="visible", timeout=LONGEST)
    assert page.evaluate("document.querySelector('#picture-heat img').naturalWidth") == 320
    page.keyboard.press("Escape")
    page.wait_for_selector('.tile[data-index="1"]:focus')
    assert logged == []
    context.close()


def test_a_cell_of_the_matrix_leads_to_its_pictures(camera: Any, server: SiteServer, label: str) -> None:
    context = camera.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.goto(f"{server.address}/wall/{label}/test")
    cell = page.locator(".matrix a").first
    count, words = int(cell.inner_text()), cell.get_attribute("aria-label")
    cell.click()
    page.wait_for_selector(f"#found:text-is('{count} image{'s' * (count != 1)}')")
    true, predicted = (page.locator(f'select[name="{name}"]').input_value() for name in ("true", "predicted"))
    assert words == f"{count}: true {true}, predicted {predicted}"
    page.wait_for_selector(".tile img")
    assert page.locator(".tile").count() == count
    context.close()


def test_ten_thousand_pictures_keep_the_page_small(camera: Any, world: Any, label: str, tmp_path: Path) -> None:
    run = Path(shutil.copytree(world.runs / label, tmp_path / "runs" / label))
    images = tmp_path / "images"
    add_images(run, images, MANY)
    config = run / "config.yaml"
    text = config.read_text(encoding="utf-8")
    [line] = [line for line in text.splitlines() if line.strip().startswith("train:")]
    config.write_text(text.replace(line, f"  train: {images}"), encoding="utf-8")
    server = SiteServer(tmp_path / "runs")
    context = camera.new_context(viewport=DESKTOP)
    page = context.new_page()
    logged = watched(page)
    page.goto(f"{server.address}/wall/{label}/test?show=all")
    page.wait_for_selector("#found:text-is('10,000 images')")
    page.wait_for_selector('.tile[tabindex="0"]')
    page.locator('.tile[tabindex="0"]').focus()
    for key, expected in (("End", MANY - 1), ("Home", 0), ("End", MANY - 1)):
        page.keyboard.press(key)
        page.wait_for_selector(f'.tile[data-index="{expected}"]:focus')
        assert page.locator(".tile").count() < 600
    page.wait_for_selector(f'.tile[data-index="{MANY - 1}"] img')
    shown = f"document.querySelector('.tile[data-index=\"{MANY - 1}\"] img')"
    page.evaluate(f"{shown}.decode()")
    assert page.evaluate(f"{shown}.naturalWidth") > 0
    assert logged == []
    context.close()
    server.stop()


def test_a_chosen_file_and_the_camera_are_answered(
    camera: Any, server: SiteServer, label: str, digits_folder: Path
) -> None:
    context = camera.new_context(viewport=PHONE, permissions=["camera"])
    page = context.new_page()
    logged = watched(page)
    page.goto(f"{server.address}/try/{label}")
    page.wait_for_selector("#state:text-is('The network is ready.')", timeout=LONGEST)
    picture = sorted((digits_folder / "digits-source" / "test" / "3").glob("*.png"))[0]
    with page.expect_file_chooser() as chooser:
        page.locator("#choose").focus()
        page.keyboard.press("Enter")
    chooser.value.set_files(picture)
    page.wait_for_selector("#answer:not([hidden]) #top li", timeout=LONGEST)
    assert page.evaluate("document.activeElement.id") == "answer-title"
    page.wait_for_selector("#nearest li img", timeout=LONGEST)
    assert page.locator("#nearest li").count() == 8
    page.locator("#camera").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewfinder:not([hidden])")
    page.wait_for_selector("#take:focus")
    with page.expect_response("**/answer", timeout=LONGEST):
        page.keyboard.press("Enter")
    page.wait_for_selector("#state:text-is('Answered.')", timeout=LONGEST)
    assert page.locator("#viewfinder").is_hidden()
    page.evaluate("document.querySelector('#preview').decode()")
    assert page.evaluate("document.querySelector('#preview').naturalWidth") > 100
    assert logged == []
    context.close()


def test_a_file_that_is_no_picture_is_said_in_words(
    camera: Any, server: SiteServer, label: str, tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    context = camera.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.goto(f"{server.address}/try/{label}")
    page.set_input_files("#file", tmp_path / "text.png")
    page.wait_for_selector("#state.bad:text('cannot be used')", timeout=LONGEST)
    assert page.locator("#answer").is_hidden()
    context.close()


@pytest.mark.parametrize("path", ["/wall", "/wall/{label}/test", "/wall/{label}/test?show=all", "/try", "/try/{label}"])
@pytest.mark.parametrize("size, scheme", [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_pages_have_no_barrier_that_axe_finds_and_fit_the_screen(
    camera: Any, server: SiteServer, label: str, path: str, size: dict[str, int], scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = camera.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    logged = watched(page)
    page.goto(server.address + path.format(label=label))
    if "test" in path:
        page.wait_for_selector('.tile[tabindex="0"]')
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert logged == []
    context.close()
