"""How RUN on the command line becomes a run folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.runs.records import COMPLETED
from transfercli.data.manifest import read_assignments, read_manifest
from transfercli.errors import ArtefactError, UsageError
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.runs.folder import RUN_ID, RunFolder, check_run_id, new_run_id
from transfercli.runs.lookup import find_run, find_run_to_resume
from transfercli.runs.record import read_record
from transfercli.training import history


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for number, (name, status) in enumerate([("r1", "completed"), ("r2", "completed"), ("r3", "failed")]):
        folder = tmp_path / "runs" / "flowers" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(
            json.dumps(COMPLETED | {"status": status, "created": f"2026-01-0{number + 1}"})
        )
    (tmp_path / "runs" / "flowers" / "champion").symlink_to("r1")
    return tmp_path / "runs"


def test_a_run_is_named_by_path_experiment_id_or_link(runs: Path) -> None:
    assert find_run(str(runs / "flowers" / "r1"), Path("elsewhere")).run_id == "r1"
    assert find_run("flowers/r3", runs).label == "flowers/r3"
    assert find_run("flowers", runs).run_id == "r2"  # the latest completed one
    assert find_run("flowers@champion", runs).run_id == "r1"


def test_what_is_resumed_by_an_experiment_s_name_is_its_newest_run_that_is_not_complete(runs: Path) -> None:
    assert find_run_to_resume("flowers", runs).run_id == "r3"
    assert find_run_to_resume("flowers/r1", runs).run_id == "r1"
    (runs / "flowers" / "r3" / "run.json").write_text(json.dumps(COMPLETED | {"created": "2026-01-09"}))
    assert find_run_to_resume("flowers", runs).run_id == "r3"  # all complete: the latest, whose result is told


def test_a_folder_without_runs_is_not_offered(runs: Path) -> None:
    (runs / "tulips").mkdir()
    with pytest.raises(ArtefactError) as raised:
        find_run("tulip", runs)
    assert "tulips" not in str(raised.value.hint)


@pytest.mark.parametrize("text", ["flower", "flowers/r9", "flowers@winner", "roses", "a/b/c"])
def test_a_run_that_is_not_there_is_an_artefact_error(text: str, runs: Path) -> None:
    with pytest.raises(ArtefactError):
        find_run(text, runs)


def test_a_name_that_no_file_can_have_is_an_artefact_error(runs: Path) -> None:
    with pytest.raises(ArtefactError):
        find_run("x" * 300, runs)


def test_a_damaged_record_is_an_artefact_error(runs: Path) -> None:
    run = find_run("flowers/r1", runs)
    run.record.write_text('{"status": "completed"}')
    with pytest.raises(ArtefactError, match="is damaged"):
        read_record(run)


def test_the_nearest_experiment_is_offered(runs: Path) -> None:
    with pytest.raises(ArtefactError) as caught:
        find_run("flower", runs)
    assert "did you mean 'flowers'" in str(caught.value.hint)


def test_new_ids_are_of_the_contract_s_form() -> None:
    found = new_run_id(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert found.startswith("20260102-030405-")
    assert RUN_ID.fullmatch(found)


@pytest.mark.parametrize("text", ["", "a/b", "..", "latest", "champion", ".hidden", "x" * 65, "a b"])
def test_ids_that_cannot_name_a_folder_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        check_run_id(text)


def images(root: Path, **counts: int) -> Path:
    from PIL import Image

    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (40, 40), (number, 0, 0)).save(root / label / f"{number}.png")
    return root


@pytest.mark.parametrize("read", [read_manifest, read_assignments, read_json, history.read])
def test_a_folder_in_the_place_of_a_run_s_file_is_a_damaged_run(tmp_path: Path, read) -> None:
    place = tmp_path / "a-file"
    place.mkdir()
    with pytest.raises(ArtefactError, match="cannot be read"):
        read(place)
    with pytest.raises(ArtefactError, match="it is a folder"), atomic.write_errors(place):
        place.open("a")


@pytest.mark.parametrize("name, value", [("data", "images"), ("config_folder", 3), ("versions", None)])
def test_a_record_of_another_kind_is_a_damaged_run(tmp_path: Path, name: str, value: object) -> None:
    facts = {"status": "completed", "command": "x", "config_folder": ".", "data": {}, "versions": {}}
    (tmp_path / "run.json").write_text(json.dumps(facts | {name: value}))
    with pytest.raises(ArtefactError, match="is damaged"):
        read_record(RunFolder(tmp_path))


@pytest.mark.parametrize("run_id", ["latest", "champion", "splits.csv", ".lock", "..", ""])
def test_an_id_that_stands_for_something_else_in_the_experiment_is_refused(run_id: str) -> None:
    with pytest.raises(UsageError, match="--run-id"):
        check_run_id(run_id)
