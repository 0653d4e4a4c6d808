"""The pages of `ui` as people use them: by keyboard, on a telephone, without scripts, while a run trains."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import DESKTOP, PHONE
from tests.workflows.conftest import World
from tests.workflows.ui.conftest import edit
from tests.workflows.ui.hostile_runs import MARKUP, make_hostile
from transfercli.reporting import Reporter
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder

pytestmark = pytest.mark.browser
SCREENS = [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")]


@dataclass(frozen=True)
class Shown:
    """A site that runs as a process of its own, and what it shows. first, second: labels of its two runs."""

    address: str
    runs: Path
    first: str
    second: str

    def pages(self) -> dict[str, str]:
        return {
            "leaderboard": "/",
            "experiment": "/experiments/digits",
            "run": f"/runs/{self.first}",
            "curves": f"/curves?run={self.first}&run={self.second}",
            "compare": f"/compare?run={self.first}&run={self.second}",
            "mistake": "/?filter=nothing%3D1",
            "hostile": "/experiments/hostile",
            "damaged": "/runs/hostile/record-of-noise",
        }


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[Shown]:
    from transfercli.runs.champions import promote_run
    from transfercli.workflows.evaluate.evaluate import evaluate_run
    from transfercli.workflows.evaluate.request import EvaluateRequest

    world = World(tmp_path_factory.mktemp("site"), digits_folder)
    run = RunFolder(Path(world.train("pretrain", world.config("digits", "digits-source"))["run"]))
    evaluate_run(EvaluateRequest(str(run.path), world.runs, "test"), Reporter())
    promote_run(world.runs / "digits", Decision("first", "the first run", run.run_id))
    shutil.copytree(run.path, run.path.with_name("second"), symlinks=True)
    edit(run.path.with_name("second") / "run.json", run_id="second", completion=0)
    make_hostile(world.runs, run.path)
    command = [sys.executable, "-m", "transfercli", "ui", "--runs", str(world.runs), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Shown(json.loads(process.stdout.readline())["address"], world.runs, run.label, "digits/second")
        process.terminate()
        assert process.wait(30) == 143
        assert process.stdout.read() == ""


@pytest.fixture
def page(browser: Any, shown: Shown) -> Iterator[Any]:
    context = browser.new_context(viewport=DESKTOP, base_url=shown.address)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", ["leaderboard", "experiment", "run", "curves", "compare", "mistake", "damaged"])
@pytest.mark.parametrize("screen", SCREENS, ids=["desktop-light", "desktop-dark", "phone-light", "phone-dark"])
def test_a_page_is_clean_on_every_screen(browser: Any, shown: Shown, name: str, screen: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport=screen[0], color_scheme=screen[1], base_url=shown.address)
    page, logged, asked = context.new_page(), [], []
    page.on("console", lambda message: logged.append(message.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(shown.pages()[name], wait_until="load")
    if "curves" in page.content():
        page.locator("main").wait_for()
    for details in page.locator("main details").all():
        details.evaluate("(one) => { one.open = true }")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [text for text in logged if "400 (Bad Request)" not in text] == []
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {shown.address.split("/")[2]}
    context.close()


@pytest.mark.parametrize("name", ["leaderboard", "experiment", "run", "curves", "compare"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Any, shown: Shown, name: str) -> None:
    page.goto(shown.pages()[name], wait_until="networkidle")
    wanted = page.evaluate(
        "[...document.querySelectorAll('a, button, select, summary, input, [tabindex=\"0\"]')]"
        ".filter((one) => one.checkVisibility()).length"
    )
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        place = "[...document.querySelectorAll('*')].indexOf(document.activeElement)"
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        if page.evaluate("document.activeElement !== document.body"):
            assert page.evaluate(outline) != "none"
            reached.add(page.evaluate(place))
    assert len(reached) >= wanted


def test_markup_in_runs_never_runs(page: Any, shown: Shown) -> None:
    seen: list[str] = []
    page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: seen.append(str(error)))
    labels = [
        f"hostile/{name}" for name in ("record-of-markup", "history-of-markup", "log-of-markup", "labels-of-markup")
    ]
    for address in ("/", "/experiments/hostile", *(f"/runs/{label}" for label in labels)):
        page.goto(address, wait_until="load")
        assert page.locator("img[src=x]").count() == 0
    page.goto(f"/curves?run={labels[1]}&key={MARKUP}", wait_until="networkidle")
    assert seen == []


def test_conditions_stand_in_the_address_and_the_back_button_leaves_them(page: Any, shown: Shown) -> None:
    page.goto("/experiments/digits")
    page.get_by_label("Condition").focus()
    page.keyboard.type("run=second")
    page.keyboard.press("Enter")
    page.wait_for_url("**filter=run%3Dsecond**")
    assert page.locator(".runs tbody tr").count() == 1
    page.get_by_role("link", name="Status").click()
    assert "sort=status" in page.url
    assert "filter=run%3Dsecond" in page.url
    page.go_back()
    page.go_back()
    assert page.locator(".runs tbody tr").count() == 2


@pytest.mark.parametrize("address", ["/", "/compare"])
def test_the_controls_of_a_form_stand_in_one_line(browser: Any, shown: Shown, address: str) -> None:
    page = browser.new_page(viewport=DESKTOP)
    page.goto(shown.address + address)
    boxes = [each.bounding_box() for each in page.locator(".filters .fields :is(input, select, button)").all()]
    assert len(boxes) > 3
    assert len({(box["y"], box["height"]) for box in boxes}) == 1
    page.close()


def test_chosen_runs_lead_to_their_curves_and_comparison(page: Any, shown: Shown) -> None:
    page.goto("/experiments/digits")
    for box in page.locator("input[name=run]").all():
        box.focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Curves of the chosen runs").press("Enter")
    page.locator(".curves svg path").first.wait_for()
    assert page.locator(".runs-legend button").count() == 2
    page.go_back()
    for box in page.locator("input[name=run]").all():
        box.check()
    page.get_by_role("button", name="Compare the chosen two").press("Enter")
    page.get_by_role("link", name="Compare their answers image by image").click()
    page.locator("#classes th button").first.click(timeout=60_000)
    assert page.locator("th[aria-sort=ascending], th[aria-sort=descending]").count() == 1


def test_arrow_keys_read_the_values_of_a_chart(page: Any, shown: Shown) -> None:
    page.goto(f"/curves?run={shown.first}")
    chart = page.locator(".curves svg").first
    chart.locator("path").first.wait_for()
    chart.focus()
    page.keyboard.press("Home")
    values = page.locator(".curves .values").first
    assert values.inner_text().startswith("Epoch 1: ")
    page.keyboard.press("ArrowRight")
    assert values.inner_text().startswith("Epoch 2: ")
    last = json.loads((shown.runs / shown.first / "metrics.jsonl").read_text().splitlines()[1])
    assert float(values.inner_text().split(";")[0].split(" ")[-1]) == pytest.approx(last["val_loss"], rel=1e-3)


def test_a_run_can_be_hidden_in_the_charts(page: Any, shown: Shown) -> None:
    page.goto(shown.pages()["curves"])
    first = page.locator(".runs-legend button").first
    first.press("Enter")
    assert page.locator(".runs-legend button").first.get_attribute("aria-pressed") == "false"
    assert page.locator(".curves svg").first.locator("g.run").count() == 2  # validation and training of the other
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"


def test_charts_and_states_go_on_while_a_run_trains(page: Any, shown: Shown) -> None:
    from transfercli.runs.lock import experiment_lock

    live = shown.runs / "live" / "one"
    shutil.copytree(shown.runs / shown.first, live, symlinks=True)
    with experiment_lock(live.parent):
        edit(live / "run.json", status="running", experiment="live", run_id="one")
        page.goto("/curves?run=live/one")
        chart = page.locator(".curves svg").first
        chart.locator("path").first.wait_for()
        assert "epochs 1 to 2" in chart.get_attribute("aria-label")
        with (live / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"phase": 1, "epoch": 3, "loss": 0.1, "val_loss": 0.2}) + '\n{"epoch": 4, "lo')
        page.locator(".curves svg[aria-label*='epochs 1 to 3']").first.wait_for()
        page.goto("/runs/live/one")
        assert page.locator("#state").inner_text().startswith("running")
        edit(live / "run.json", status="completed")
        page.locator("#state", has_text="completed").wait_for()


def test_everything_can_be_read_without_scripts(browser: Any, shown: Shown) -> None:
    context = browser.new_context(viewport=DESKTOP, base_url=shown.address, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/curves?run={shown.first}")
    page.locator("summary").first.click()
    assert page.locator("#curve-tables tbody tr").count() >= 2
    page.goto("/experiments/digits")
    page.get_by_label("Order by").fill("val_accuracy")
    page.get_by_role("button", name="Show", exact=True).click()
    assert "sort=val_accuracy" in page.url
    page.goto(f"/runs/{shown.first}")
    assert "The curves are drawn by a script" in page.content()
    page.get_by_role("link", name="Report of this evaluation").click()
    assert "test evaluation" in page.title()
    context.close()
