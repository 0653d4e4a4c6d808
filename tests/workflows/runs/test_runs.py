"""What `runs list`, `show` and `compare` say of real runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.runs.leaderboard import ListRequest, list_runs
from transfercli.workflows.runs.rows import row_of
from transfercli.workflows.runs.runs import show_run


def test_a_run_is_listed_and_shown_with_its_curves_and_lineage(source) -> None:
    world, trained = source
    evaluate_run(EvaluateRequest("digits-source", world.runs), Reporter())
    (row,) = list_runs(ListRequest(world.runs, "digits-source")).as_json()[
        "runs"
    ]  # other tests add experiments of their own
    assert (row["status"], row["links"]) == ("completed", ["latest"])
    shown = show_run("digits-source", world.runs, Reporter()).as_json()
    assert shown["test_accuracy"] == shown["evaluations"]["test"]["accuracy"]
    assert len(shown["curves"]["val_loss"]) == 4
    assert [one["run"] for one in shown["lineage"]] == [f"digits-source/{Path(trained['run']).name}"]
    assert "calibration.json" in [file["path"] for file in shown["files"]]
    json.dumps(shown, allow_nan=False)
    with pytest.raises(ArtefactError, match="no experiment 'other'"):
        list_runs(ListRequest(world.runs, "other"))


def test_a_damaged_record_is_listed_as_damaged(tmp_path: Path) -> None:
    run = tmp_path / "e" / "r"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{")
    (row,) = list_runs(ListRequest(tmp_path)).runs
    assert row.status == "damaged"


def whole_record(run: Path, **facts: object) -> None:
    run.mkdir(parents=True)
    record = {"status": "failed", "command": "transfercli finetune c.yaml", "config_folder": "../..", "versions": {}}
    record |= {"data": {"fingerprint": "0", "images": {}}, "workflow": "finetune", **facts}
    (run / "run.json").write_text(json.dumps(record))


def evaluation(content: str) -> Callable[[Path], object]:
    def write(run: Path) -> None:
        (run / "evaluation" / "test").mkdir(parents=True)
        (run / "evaluation" / "test" / "metrics.json").write_text(content)

    return write


STRANGE: dict[str, Callable[[Path], object]] = {
    "no object": evaluation("[]"),
    "metrics are no object": evaluation('{"metrics": [1]}'),
    "a metric is a text": evaluation('{"metrics": {"accuracy": "0.9"}}'),
    "a metric is a truth": evaluation('{"metrics": {"accuracy": true}}'),
    "a line is no object": lambda run: (run / "metrics.jsonl").write_text("[]\n"),
    "a line has no epoch": lambda run: (run / "metrics.jsonl").write_text('{"loss": 1}\n'),
    "validation metrics are a text": lambda run: (run / "run.json").write_text(
        (run / "run.json").read_text()[:-1] + ', "metrics": "high"}'
    ),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_number_is_an_error_that_names_the_file_and_the_list_goes_on(name: str, tmp_path: Path) -> None:
    run = tmp_path / "e" / "r"
    whole_record(run)
    assert show_run("e/r", tmp_path, Reporter()).row.status == "failed"
    STRANGE[name](run)
    with pytest.raises(ArtefactError, match=r"metrics.json|run.json"):
        show_run("e/r", tmp_path, Reporter())
    assert [row.run_id for row in list_runs(ListRequest(tmp_path)).runs] == ["r"]


def test_a_curve_has_gaps_where_a_line_has_no_number(tmp_path: Path) -> None:
    run = tmp_path / "e" / "r"
    whole_record(run)
    (run / "metrics.jsonl").write_text('{"epoch": 1, "loss": 0.5}\n{"epoch": 2, "loss": "x"}\n')
    assert show_run("e/r", tmp_path, Reporter()).curves["loss"] == [0.5, None]


@pytest.mark.parametrize("count, where", [(2, " (in each of 2 processes)"), (1, "")])
def test_an_interrupted_run_of_several_processes_goes_on_in_all_of_them(count: int, where: str, tmp_path: Path) -> None:
    run = tmp_path / "digits" / "pair"
    whole_record(run, status="interrupted", distribution={"processes": count, "devices": 2})
    row = row_of(RunFolder(run), {})
    assert row.resume is not None
    assert ("c.yaml" in row.resume, "--run-id pair" in row.resume) == (count > 1, count > 1)
    assert row.going_on == f"{row.resume}{where}"
