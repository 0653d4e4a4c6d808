"""`runs compare --report FILE` on real runs, whose images come and go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.listener import Listener
from tests.workflows.conftest import World
from transfercli.errors import UsageError
from transfercli.reporting import Reporter
from transfercli.runs.lookup import find_run
from transfercli.workflows.compare.compare import compare_runs
from transfercli.workflows.compare.comparison import CompareRequest

LOST = "No picture: "


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> World:
    """A world with two experiments, `one` and `two`, each on its own copy of the same few images."""
    world = World(tmp_path_factory.mktemp("compared"), digits_folder)
    for name, epochs in (("one", 1), ("two", 3)):
        for file in sorted((digits_folder / "digits-source").glob("t*/*/*.png"))[::4]:
            place = world.folder / f"images-{name}" / Path(*file.parts[-3:])
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
        data = {"train": str(world.folder / f"images-{name}")}
        world.train("pretrain", world.config(name, "unused", data=data, training={"epochs": epochs}))
    compare_runs(CompareRequest(("one", "two"), world.runs), Reporter())
    return world


@pytest.fixture
def world(trained: World, tmp_path: Path) -> World:
    """The same in a place of its own, where images may be removed."""
    shutil.copytree(trained.folder, tmp_path / "world", symlinks=True)
    copy = World(tmp_path / "world", trained.samples)
    for name in ("one", "two"):
        config = find_run(name, copy.runs).config
        config.write_text(config.read_text().replace(str(trained.folder), str(copy.folder)))
    return copy


def compared(world: World, reporter: Reporter | None = None) -> tuple[dict[str, Any], str]:
    """The one comparison, and the page."""
    page = world.folder / "page.html"
    request = CompareRequest(("one", "two"), world.runs, report=page)
    result = compare_runs(request, reporter or Reporter()).as_json()
    assert result["report"] == str(page)
    return result["comparisons"][0], page.read_text()


def test_the_page_shows_the_images_that_tell_the_runs_apart_and_only_those_are_read(world: World) -> None:
    listener = Listener()
    told, html = compared(world, listener)
    changed = [*told["fixed"], *told["broken"]]
    assert 0 < len(changed) < told["examples"]
    assert html.count("<img ") == len(changed)
    assert all(f'title="{path}"' in html for path in changed)
    assert LOST not in html
    assert {total for stage, _, total, _ in listener.steps if stage == "ingest"} == {len(changed)}
    assert str(world.folder) not in html
    assert "transfercli runs compare one/" in html


def test_an_image_that_one_run_has_lost_is_found_through_the_other(world: World) -> None:
    told, _ = compared(world)
    first = [*told["fixed"], *told["broken"]][0]
    shutil.rmtree(world.folder / "images-one")
    _, html = compared(world)
    assert LOST not in html
    (world.folder / "images-two" / first).write_bytes(b"no image any more")
    _, html = compared(world)
    assert html.count(LOST) == 1
    shutil.rmtree(world.folder / "images-two")
    again, html = compared(world)
    assert again == told
    assert html.count(LOST) == len(told["fixed"]) + len(told["broken"])
    assert "<img " not in html


def test_a_report_that_cannot_be_written_is_refused_before_any_work(world: World) -> None:
    for report in (world.folder, world.folder / "gone" / "page.html"):
        with pytest.raises(UsageError, match="--report"):
            compare_runs(CompareRequest(("no such run", "nor this"), world.runs, report=report), Reporter())


def test_the_command_writes_the_page_and_says_where(world: World, tmp_path: Path) -> None:
    from transfercli.cli.app import app

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, ["runs", "compare", *words, "--runs", str(world.runs), "--quiet"])

    page, first = tmp_path / "page.html", world.runs / "one"
    shutil.copytree((first / "latest").resolve(), first / "again", symlinks=True)
    done = run("one", "two", "one/again", "--report", str(page), "--json")
    result = json.loads(done.stdout)
    assert (done.exit_code, result["report"]) == (0, str(page))
    assert page.read_text().count("<section") == 2 * 8 + 3  # with the table, the curves and the command
    verdicts = [one["verdict"] for one in result["comparisons"]]
    assert verdicts[1] == "no difference"
    shown = run("one", "two", "one/again", "--report", str(page)).stdout
    assert f"report  {page}" in shown.splitlines()
    rows = [line.split("  ") for line in shown.splitlines() if line.startswith(("one/", "two/"))]
    assert rows[0][-1] == "first"
    assert rows[-1][-1].strip() in ("no difference", "worse")
    full = run("one", "two", "one/again", "--details").stdout
    told = [line.split(maxsplit=1)[1] for line in full.splitlines() if line.startswith("verdict ")]
    assert told[1] == "these images show no difference in accuracy"
    assert "p (Holm)" in full
    assert json.loads(run("one", "two", "--json").stdout)["report"] is None
    assert run("one", "two", "--report", str(tmp_path)).exit_code == 2
