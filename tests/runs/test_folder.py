"""How RUN on the command line becomes a run folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from transfercli.errors import ArtefactError, UsageError
from transfercli.runs.folder import RUN_ID, check_run_id, new_run_id
from transfercli.runs.lookup import find_run, find_run_to_resume


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for number, (name, status) in enumerate([("r1", "completed"), ("r2", "completed"), ("r3", "failed")]):
        folder = tmp_path / "runs" / "flowers" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"status": status, "created": f"2026-01-0{number + 1}"}))
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
    (runs / "flowers" / "r3" / "run.json").write_text(json.dumps({"status": "completed", "created": "2026-01-09"}))
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
    from transfercli.runs.record import read_record

    run = find_run("flowers/r1", runs)
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
