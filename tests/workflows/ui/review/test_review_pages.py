"""The label review: its queues, the decisions that it stores, and the requests that it refuses."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from tests.workflows.ui.review.conftest import COPY, WRONG, Page
from transfercli.data.corrections.log import Decision, append_decisions
from transfercli.data.manifest import read_manifest
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.data.check import CheckRequest, CheckResult, check_data
from transfercli.workflows.data.diff import DiffRequest, diff_data


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "digits" / "corrections.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_most_of_the_first_likely_errors_are_errors(page: Page, mislabelled: Any) -> None:
    assert page.state()["state"] == "done"
    first = [page.get(f"/images/{row}").json() for row in page.rows("likely")[:WRONG]]
    wrong = [image for image in first if image["path"] in mislabelled[1]]
    assert len(wrong) >= WRONG // 2
    assert all("likely wrong" in image["reasons"]["likely"] for image in first)


def test_copies_with_other_labels_are_a_queue_and_are_decided_together(page: Page, folder: Path) -> None:
    found = [page.get(f"/images/{row}").json() for row in page.rows("conflicts")]
    copy = next(image for image in found if image["path"] == COPY)
    assert len(copy["copies"]) == 1
    assert page.decide(copy["row"], "0").json()["label"] == "0"
    assert {(row["path"], row["old"], row["new"]) for row in rows_of(folder)} == {
        (COPY, "1", "0"),
        (copy["copies"][0], "0", "0"),
    }
    assert not {image["row"] for image in found if image["path"] in (COPY, *copy["copies"])} & {*page.rows("conflicts")}


def test_a_decision_is_a_row_with_the_image_the_labels_the_reviewer_and_the_time(page: Page, folder: Path) -> None:
    row = page.rows("likely")[0]
    before = page.get(f"/images/{row}").json()
    label = next(name for name in "01234" if name != before["label"])
    answer = page.decide(row, label, who="Ann, B").json()
    assert (answer["label"], answer["decided"], answer["who"], answer["progress"]["decided"]) == (
        label,
        True,
        "Ann, B",
        1,
    )
    (stored,) = rows_of(folder)
    record = next(r for r in read_manifest(RunFolder(folder / "digits" / "latest").dataset) if r.path == before["path"])
    assert (stored["path"], stored["sha256"], stored["old"], stored["new"], stored["who"]) == (
        record.path,
        record.sha256,
        before["label"],
        label,
        "Ann, B",
    )
    assert stored["when"].endswith("Z")
    assert row not in page.rows("likely")


def test_undo_brings_back_what_was_before_and_adds_a_row(page: Page, folder: Path) -> None:
    row = page.rows("likely")[0]
    before = page.get(f"/images/{row}").json()["label"]
    others = [name for name in "01234" if name != before]
    for label in others[:2]:
        page.decide(row, label)
    first = page.undo(row).json()
    assert (first["label"], first["decided"]) == (others[0], True)
    second = page.undo(row).json()
    assert (second["label"], second["decided"], second["progress"]["decided"]) == (before, False, 0)
    assert page.undo(row).json()["label"] == before
    assert [row["new"] for row in rows_of(folder)] == [*others[:2], "", others[0], ""]
    assert row in page.rows("likely")


def test_another_page_and_a_site_that_is_started_again_know_all_decisions(
    page: Page, page_of: Callable[..., Page], folder: Path
) -> None:
    first, second = page.rows("likely")[:2]
    page.decide(first, page.get(f"/images/{first}").json()["label"])
    other = page_of(folder, reviewer="Bo")
    assert first not in other.rows("likely")
    other.decide(second, "0", who="")
    assert page.get(f"/images/{second}").json()["who"] == "Bo"
    assert page.state()["snapshot"] == other.state()["snapshot"]


def test_decisions_are_what_data_diff_names_and_data_check_no_longer_lists(
    page: Page, folder: Path, mislabelled: Any
) -> None:
    world, truth = mislabelled
    images = {image["path"]: image for image in (page.get(f"/images/{row}").json() for row in page.rows("likely"))}
    wrong = [path for path in images if path in truth][:3]
    kept = next(path for path, image in images.items() if path not in truth and not image["copies"])
    for path in wrong:
        page.decide(images[path]["row"], truth[path])
    page.decide(images[kept]["row"], images[kept]["label"])
    log = f"data.corrections={folder / 'digits' / 'corrections.csv'}"
    config = world.folder / "digits.yaml"
    found = diff_data(DiffRequest(config, "digits", folder, (log,)), Reporter()).as_json()
    assert found["relabelled"] == sorted(wrong)
    assert not found["changed"]
    assert found["earlier_labels"] == {path: images[path]["label"] for path in wrong}
    listed = [
        {one["path"] for one in checked.as_json()["mislabelled"]}
        for overrides in ((), (log,))
        if isinstance(checked := check_data(CheckRequest(config, folder, overrides, share=1), Reporter()), CheckResult)
    ]
    assert {kept, *wrong} <= listed[0]
    assert not {kept, *wrong} & listed[1]


def test_a_row_that_was_cut_short_and_decisions_that_do_not_hold_are_warned_of(page: Page, folder: Path) -> None:
    log = folder / "digits" / "corrections.csv"
    append_decisions(log, [Decision(COPY, "0" * 64, "1", "0")])
    with log.open("ab") as file:
        file.write(b"train/0/")
    torn, unused = page.state()["warnings"]
    assert torn == "corrections.csv: the rest of a row that was cut short is left out; the next decision mends it"
    assert unused == f"corrections.csv: decisions that are not used, for 1 image changed since: {COPY!r}"


def test_a_read_only_site_shows_the_queues_and_writes_nothing(page_of: Callable[..., Page], folder: Path) -> None:
    page = page_of(folder, allow_changes=False)
    row = page.rows("likely")[0]
    answer = page.decide(row, "0")
    assert answer.status_code == 403
    assert "--allow-changes" in answer.json()["error"]["hint"]
    assert not (folder / "digits" / "corrections.csv").exists()


@pytest.mark.parametrize(
    "change, status, words",
    [
        ({"label": "7"}, 400, "'7' is no label of the data"),
        ({"label": ["0"]}, 400, "is no label of the data"),
        ({"label": None}, 400, "is no label of the data"),
        ({"snapshot": "other"}, 409, "load the page again"),
        ({"row": -1}, 404, "there is no image -1"),
        ({"row": 10**9}, 404, "there is no image"),
        ({"row": True}, 400, "'True' is no image"),
        ({"who": "two\nlines"}, 400, "one line of at most"),
        ({"who": "x" * 101}, 400, "one line of at most"),
        ({"who": 7}, 400, "a reviewer is a text"),
    ],
)
def test_a_decision_that_means_nothing_is_refused(
    page: Page, folder: Path, change: dict[str, Any], status: int, words: str
) -> None:
    body = {"snapshot": page.state()["snapshot"], "row": 0, "label": "0", "who": ""} | change
    answer = page.post("/decisions", body)
    assert answer.status_code == status
    assert words in json.dumps(answer.json()["error"])
    assert not (folder / "digits" / "corrections.csv").exists()


@pytest.mark.parametrize(
    "options, status",
    [
        ({"json": {}, "headers": {}}, 403),
        ({"json": {}, "headers": {"X-CSRF-Token": "guessed"}}, 403),
        ({"content": b"[]"}, 400),
        ({"content": b"{" * 100_000}, 400),
        ({"content": b'{"row": NaN}'}, 400),
        ({"content": b"{}", "type": "text/plain"}, 400),
    ],
)
def test_requests_of_other_pages_and_bodies_that_are_no_object_are_refused(
    page: Page, options: dict[str, Any], status: int
) -> None:
    kind = options.pop("type", "application/json")
    headers = options.pop("headers", page.headers) | {"Content-Type": kind}
    assert page.client.post(f"{page.base}/decisions", headers=headers, **options).status_code == status


def test_pictures_are_shown_in_their_own_shape_or_as_the_cache_has_them(page: Page) -> None:
    row = page.rows("newest")[0]
    answer = page.get(f"/images/{row}/picture")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    with Image.open(BytesIO(answer.content)) as picture:
        assert picture.size == tuple(page.get(f"/images/{row}").json()["size"])
    assert page.get("/images/99999/picture").status_code == 404


def test_no_answer_holds_a_path_of_the_machine(page: Page, folder: Path) -> None:
    row = page.rows("likely")[0]
    page.decide(row, "0")
    paths = ("", "/state", "/queues/likely", f"/images/{row}", "/queues/none", "/images/99999")
    texts = [page.get(path).text for path in paths]
    assert all(str(folder.parent) not in text and "/tmp/" not in text for text in texts)


def test_images_are_read_anew_when_that_is_asked_for(
    page_of: Callable[..., Page], mislabelled: Any, tmp_path: Path
) -> None:
    world, _ = mislabelled
    images = Path(shutil.copytree(world.folder / "images", tmp_path / "images"))
    runs = Path(shutil.copytree(world.runs, tmp_path / "runs", symlinks=True))
    for config in (runs / "digits").glob("*/config.yaml"):
        config.write_text(config.read_text().replace(str(world.folder / "images"), str(images)))
    (images / "train").rename(tmp_path / "away")
    page = page_of(runs)
    assert page.state()["state"] == "failed"
    (tmp_path / "away").rename(images / "train")
    assert page.state()["state"] == "failed"
    assert page.client.get(f"{page.base}?again", follow_redirects=False).status_code == 303
    assert page.state()["state"] == "done"


def test_a_run_cannot_name_a_file_of_another_kind_for_the_first_decision(
    page_of: Callable[..., Page], folder: Path, tmp_path: Path
) -> None:
    for config in {path.resolve() for path in (folder / "digits").glob("*/config.yaml")}:
        content = yaml.safe_load(config.read_text())
        content["data"]["corrections"] = str(tmp_path / ".bash_login")
        config.write_text(yaml.safe_dump(content))
    page = page_of(folder)
    answer = page.get("/state")
    assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "usage")
    assert page.post("/decisions", {"snapshot": "", "row": 0, "label": "0"}).status_code == 400
    assert not (tmp_path / ".bash_login").exists()


def test_an_experiment_without_a_completed_run_is_not_found(page_of: Callable[..., Page], folder: Path) -> None:
    (folder / "empty").mkdir()
    for name in ("empty", "none", ".."):
        assert page_of(folder, name).get("/state").status_code == 404


def test_the_page_names_the_line_that_a_config_needs(page: Page) -> None:
    text = page.get().text
    assert "corrections: " in text
    assert "runs/digits/corrections.csv" in text


@pytest.mark.slow
def test_sets_of_labels_are_stored_as_in_dataset_csv(scenes: Any, page_of: Callable[..., Page], tmp_path: Path) -> None:
    runs = Path(shutil.copytree(scenes[0].runs, tmp_path / "runs", symlinks=True))
    page = page_of(runs, "scenes")
    state = page.state()
    assert state["several"] is True
    row = page.rows("unsure")[0]
    labels = state["labels"][:2]
    assert page.decide(row, [labels[1], labels[0]]).json()["label"] == sorted(labels)
    assert page.decide(row, "0").status_code == 400
    with (runs / "scenes" / "corrections.csv").open(newline="") as file:
        (stored,) = csv.DictReader(file)
    assert stored["new"] == json.dumps(sorted(labels))
    assert page.undo(row).json()["decided"] is False
