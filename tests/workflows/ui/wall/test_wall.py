"""The wall of an evaluation: which images it shows, and which files it serves."""

from __future__ import annotations

import io
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transfercli.reporting import Reporter
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.pictures import MOST_BYTES
from transfercli.workflows.ui.recent import Recent
from transfercli.workflows.ui.wall.evaluated import Asked, Evaluated, matrix_of, read_evaluated


@pytest.fixture(scope="module")
def evaluated(visited: Any) -> Evaluated:
    return read_evaluated(StoredRun.find(visited.label, visited.world.runs, Reporter()), "test")


def address(visited: Any, rest: str = "") -> str:
    return f"/wall/{visited.label}/test{rest}"


def shas(html: str) -> list[str]:
    return re.findall(r'data-sha="([0-9a-f]{64})"', html)


def test_mistakes_come_first_by_their_loss(evaluated: Evaluated) -> None:
    found = Asked().of(evaluated)
    assert found
    assert all(image.true != image.predicted and not image.right for image in found)
    losses = [image.loss for image in found]
    assert losses == sorted(losses, reverse=True)
    every = Asked(show="all", sort="unsure").of(evaluated)
    assert len(every) == len(evaluated.images)
    assert [image.confidence for image in every] == sorted(image.confidence for image in every)


def test_filters_are_the_cells_of_the_confusion_matrix(evaluated: Evaluated) -> None:
    matrix = matrix_of(evaluated, 20)
    for row, true in enumerate(evaluated.labels):
        for column, predicted in enumerate(evaluated.labels):
            found = Asked("all", "loss", true, predicted).of(evaluated)
            assert len(found) == matrix[row][column]
    assert matrix_of(evaluated, 2) == []


def test_the_page_lists_the_first_pictures_and_parts_give_the_others(visited: Any, evaluated: Evaluated) -> None:
    page = visited.client.get(address(visited, "?show=all&sort=sure")).text
    parts = [visited.client.get(address(visited, f"/tiles?show=all&sort=sure&from={n}&count=50")).text
             for n in range(0, len(evaluated.images), 50)]  # fmt: skip
    listed = [sha for part in parts for sha in shas(part)]
    assert listed[: len(shas(page))] == shas(page)
    expected = [image.record.sha256 for image in Asked("all", "sure").of(evaluated) if image.record]
    assert listed == expected
    assert visited.client.get(address(visited, "/tiles?from=99999999999&count=-3")).status_code == 200


def test_a_picture_has_an_etag_of_its_content_and_is_not_sent_twice(visited: Any, evaluated: Evaluated) -> None:
    image = evaluated.images[0]
    assert image.record is not None
    answer = visited.client.get(address(visited, f"/picture/{image.record.sha256}/small"))
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as shown:
        assert shown.size == (image.record.width, image.record.height)
    again = visited.client.get(
        address(visited, f"/picture/{image.record.sha256}/small"), headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "rest",
    [
        "/picture/" + "0" * 64 + "/small",
        "/picture/..%2F..%2Fetc%2Fpasswd/small",
        "/picture/{sha}/huge",
        "/heat/{sha}/99",
        "/image/" + "f" * 64,
    ],
)
def test_only_recorded_images_are_served(visited: Any, evaluated: Evaluated, rest: str) -> None:
    record = evaluated.images[0].record
    assert record is not None
    assert visited.client.get(address(visited, rest.format(sha=record.sha256))).status_code == 404


@pytest.mark.parametrize("place", ["/wall/..%2F..%2Fetc/x/test", "/wall/digits-source/nothing/test", "{run}/..%2F.."])
def test_no_address_leads_out_of_the_folder_of_runs(visited: Any, place: str) -> None:
    answer = visited.client.get(place.format(run=f"/wall/{visited.label}"))
    assert answer.status_code == 404
    assert str(visited.world.folder) not in answer.text


def test_facts_of_an_image_name_its_labels_and_where_its_heat_maps_are(visited: Any, evaluated: Evaluated) -> None:
    image = Asked().of(evaluated)[0]
    assert image.record is not None
    facts = visited.client.get(address(visited, f"/image/{image.record.sha256}")).json()
    assert facts["format"] == 1
    assert facts["true"] == list(image.true)
    assert facts["right"] is False
    assert [label for label, _ in facts["heat"]] == [*image.predicted, *image.true]
    assert facts["top"][0][1] == pytest.approx(image.confidence, abs=1e-6)
    assert len(facts["top"]) == min(5, len(evaluated.labels))


def test_a_heat_map_is_that_of_the_report_and_kept(visited: Any, evaluated: Evaluated) -> None:
    from transfercli.evaluation.explain.attribution import gradient_method
    from transfercli.evaluation.explain.heatmaps import overlaid
    from transfercli.workflows.ui.networks import HEAT_SIDE, enlarged

    run = StoredRun.find(visited.label, visited.world.runs, Reporter())
    split = run.split("test")
    image = evaluated.images[3]
    assert image.record is not None
    label = evaluated.labels.index(image.predicted[0])
    answer = visited.client.get(address(visited, f"/heat/{image.record.sha256}/{label}"))
    assert answer.headers["content-type"] == "image/jpeg"
    pixels = split.images.read(np.array([split.paths.index(image.path)]))[0]
    heat = gradient_method(run.classifier).heats(pixels[None], np.array([label]))[0]
    expected = overlaid(enlarged(pixels, HEAT_SIDE), heat).astype(int)
    with Image.open(io.BytesIO(answer.content)) as shown:
        assert np.abs(np.asarray(shown).astype(int) - expected).mean() < 4  # JPEG
    assert visited.client.get(address(visited, f"/heat/{image.record.sha256}/{label}")).content == answer.content


def test_pages_name_no_path_of_the_machine_and_run_no_script_of_their_own(visited: Any) -> None:
    for path in ("/wall", address(visited), f"/try/{visited.label}", "/try"):
        page = visited.client.get(path).text
        assert str(visited.world.folder) not in page
        assert not re.search(r"<script(?![^>]*src=)", page)
        assert not re.search(r"<style|\son\w+=", page)


def test_a_changed_or_hostile_file_is_a_placeholder_or_the_recorded_pixels(
    visited: Any, evaluated: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.workflows.ui import pictures as module

    record = evaluated.images[5].record
    assert record is not None
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    monkeypatch.setattr(module.RecordedFiles, "file_of", lambda *_: str(bomb))
    visited.site.workers.pictures.cache = Recent(MOST_BYTES, size=len)
    cached = visited.client.get(address(visited, f"/picture/{record.sha256}/large"))
    monkeypatch.setattr(module.RecordedFiles, "cached", lambda *_: None)
    visited.site.workers.pictures.cache = Recent(MOST_BYTES, size=len)
    lost = visited.client.get(address(visited, f"/picture/{record.sha256}/large"))
    assert cached.headers["content-type"] in ("image/png", "image/svg+xml")
    assert (lost.status_code, lost.headers["content-type"]) == (200, "image/svg+xml")
    assert lost.headers["cache-control"] == "no-store"


def test_a_cache_of_pictures_drops_the_oldest_ones() -> None:
    cache = Recent[bytes](100, size=len)
    for key in range(5):
        cache.put(key, b"x" * 30)
        cache.get(2)
    assert [key for key in range(5) if cache.get(key)] == [2, 3, 4][-3:]


def test_images_with_several_labels_are_filtered_by_each_of_them(scenes: Any) -> None:
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

    world, folder = scenes
    evaluate_run(EvaluateRequest(str(folder), world.runs), Reporter())
    evaluated = read_evaluated(StoredRun.find(str(folder), world.runs, Reporter()), "test")
    assert evaluated.several
    counts = Counter(label for image in evaluated.images for label in image.true)
    for label in evaluated.labels:
        assert len(Asked("all", true=label).of(evaluated)) == counts[label]
    assert {image.right for image in evaluated.images} == {True, False}
    assert matrix_of(evaluated, 20) == []


def test_a_damaged_table_is_an_answer_and_no_crash(visited: Any, tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    from transfercli.workflows.ui.app import build_app
    from transfercli.workflows.ui.site import Site

    experiment, run_id = visited.label.split("/")
    shutil.copytree(visited.world.runs / experiment / run_id, tmp_path / experiment / run_id)
    table = tmp_path / experiment / run_id / "evaluation/test/predictions.csv"
    for content in (b"", b"path,label\n", b"path,label,predicted,probability,p:0\na,b\n", b"\xff\xfe"):
        table.write_bytes(content)
        client = TestClient(build_app(Site(tmp_path)), base_url="http://localhost")
        answer = client.get(address(visited))
        assert answer.status_code == 404
        assert "evaluate again" in answer.text
