"""Run folders from strangers: nothing in them leads out, waits for ever or fills memory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.runs.records import COMPLETED
from transfercli.errors import ArtefactError
from transfercli.io.bounded import read_json
from transfercli.runs import untrusted
from transfercli.runs.folder import RunFolder
from transfercli.runs.lookup import find_run, find_run_to_resume, is_label
from transfercli.runs.record import read_record
from transfercli.runs.untrusted import check_run_folder

FACTS = COMPLETED | {"created": "2026-01-01"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "flowers" / "r1"
    (folder / "checkpoints" / "epoch-00001").mkdir(parents=True)
    (folder / "checkpoints" / "best").symlink_to("epoch-00001")
    (folder / "run.json").write_text(json.dumps(FACTS))
    return folder


def test_links_to_a_neighbour_are_a_run_s_own(run: Path) -> None:
    check_run_folder(run)
    assert find_run("flowers", run.parents[1]).run_id == "r1"


@pytest.mark.parametrize("target", ["/etc", "../../x", "..", ".", "epoch-00001/../.."])
@pytest.mark.parametrize("place", ["evaluation", "log.txt", "checkpoints/epoch-00001/model.safetensors"])
def test_a_link_that_leads_out_is_refused_however_the_run_is_named(target: str, place: str, run: Path) -> None:
    (run / place).symlink_to(target)
    for text in ("flowers", "flowers/r1", "flowers@latest", str(run)):
        (run.parent / "latest").unlink(missing_ok=True)
        (run.parent / "latest").symlink_to("r1")
        with pytest.raises(ArtefactError, match="is a link to"):
            find_run(text, run.parents[1])
    (run / "run.json").write_text(json.dumps(FACTS | {"status": "interrupted"}))
    with pytest.raises(ArtefactError, match="is a link to"):
        find_run_to_resume("flowers", run.parents[1])


def test_a_pipe_is_refused_and_not_waited_for(run: Path) -> None:
    os.mkfifo(run / "config.yaml")
    with pytest.raises(ArtefactError, match="neither a file nor a folder"):
        find_run("flowers/r1", run.parents[1])
    with pytest.raises(ArtefactError, match="not a regular file"):
        read_json(run / "config.yaml")


def test_a_folder_of_countless_files_is_no_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "MAX_ENTRIES", 3)
    with pytest.raises(ArtefactError, match="more than 3 files"):
        check_run_folder(run)


def test_a_champion_is_a_run_of_its_experiment(run: Path) -> None:
    other = run.parents[1] / "others" / "r2"
    other.mkdir(parents=True)
    (other / "run.json").write_text(json.dumps(FACTS))
    (run.parent / "champion").symlink_to("../others/r2")
    with pytest.raises(ArtefactError, match="has no champion"):
        find_run("flowers@champion", run.parents[1])


def test_a_name_does_not_leave_the_runs_folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is one from where one stands; joined to the runs folder it would be another, which nobody meant."""
    inner = run.parents[1] / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    for text in ("../flowers", "../../runs/flowers", "..", ".", "...", "../flowers@champion", "flowers/../../x"):
        with pytest.raises(ArtefactError):
            find_run(text, inner / "runs")
    assert find_run("../flowers/r1", inner / "runs").run_id == "r1"
    monkeypatch.chdir(run)
    with pytest.raises(ArtefactError):
        find_run("../flowers/r1", inner)  # it is there as inner/../flowers/r1


@pytest.mark.parametrize(
    "text, fits", [("a/b", True), ("a", False), ("a/b/c", False), ("../b", False), ("a/\0", False)]
)
def test_labels_are_two_names(text: str, fits: bool) -> None:
    assert is_label(text) is fits


@pytest.mark.parametrize("key", [("data", "fingerprint"), ("metrics", "val_loss"), ("status",), ("config_folder",)])
@pytest.mark.parametrize("value", [None, [], {"a": 1}])
def test_a_record_says_all_that_others_rely_on(key: tuple[str, ...], value: object, run: Path) -> None:
    assert read_record(RunFolder(run)) == FACTS
    facts = json.loads(json.dumps(FACTS))
    inner = facts
    for part in key[:-1]:
        inner = inner[part]
    inner[key[-1]] = value
    (run / "run.json").write_text(json.dumps(facts))
    with pytest.raises(ArtefactError, match=r"\.".join(key)):
        read_record(RunFolder(run))
