"""Where an evaluation of other images goes, and the command lines that a report gives."""

from __future__ import annotations

import html
import json
import shlex
import shutil
from pathlib import Path

import pytest

from transfercli.data.dataset import Record
from transfercli.data.manifest import write_manifest
from transfercli.data.sources import keras_datasets
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import TrainRequest, resolve_job


@pytest.fixture
def run(source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pretrained run under another runs folder, named relative to the working folder."""
    monkeypatch.chdir(tmp_path)
    place = Path("my runs") / "digits-source" / Path(source[1]["run"]).name
    shutil.copytree(source[1]["run"], place, symlinks=True)
    return place


@pytest.fixture
def other(digits_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(digits_folder / "digits" / "test" / "3", tmp_path / "new photos" / "3")
    return Path("new photos")


def evaluated(run: Path, data: Path, *minimums: str) -> dict:
    request = EvaluateRequest("digits-source", run.parent.parent, data=data, minimums=minimums)
    return evaluate_run(request, Reporter()).as_json()


def test_other_images_leave_the_evaluation_of_the_run_s_own_as_it_is(run: Path, other: Path) -> None:
    own = run / "evaluation" / "test" / "metrics.json"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("{}")
    assert evaluated(run, other)["split"] == "test"
    assert own.read_text() == "{}"
    place = run / "evaluation" / "test-new-photos"
    assert json.loads((place / "metrics.json").read_text())["per_class"][3]["support"] > 0


def test_a_run_without_test_images_keeps_other_ones_under_the_split_s_name(run: Path, other: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    del facts["data"]["images"]["test"]
    (run / "run.json").write_text(json.dumps(facts))
    evaluated(run, other)
    assert (run / "evaluation" / "test" / "metrics.json").is_file()


def test_a_report_says_how_to_come_to_it_again(run: Path, other: Path) -> None:
    evaluated(run, other, "recall[3]>=0.1")
    page = html.unescape((run / "evaluation" / "test-new-photos" / "report.html").read_text())
    (line,) = [text for text in page.splitlines() if "transfercli evaluate " in text]
    words = shlex.split(line[line.index("transfercli evaluate") :].removesuffix("</pre>"))
    label = f"digits-source/{run.name}"
    assert words == [
        *("transfercli", "evaluate", label, "--runs", "my runs", "--split", "test"),
        *("--data", "new photos", "--min", "recall[3]>=0.1"),
    ]


def test_a_run_that_lies_elsewhere_is_named_by_its_path(run: Path, other: Path) -> None:
    evaluate_run(EvaluateRequest(str(run), Path("runs"), data=other), Reporter())
    page = html.unescape((run / "evaluation" / "test-new-photos" / "report.html").read_text())
    assert f"transfercli evaluate {shlex.quote(str(run))} --split test" in page


@pytest.mark.parametrize(
    "runs, said", [("runs", ""), ("my runs", " --runs 'my runs'"), ("/srv/ann/runs", " --runs …/runs")]
)
def test_a_training_is_recorded_with_its_runs_folder_but_no_absolute_path(world, monkeypatch, runs, said) -> None:
    monkeypatch.chdir(world.folder)
    world.config("t", "digits")
    job = resolve_job(TrainRequest("finetune", Path("t.yaml"), Path(runs), ("seed=1",)))
    assert shlex.split(job.command_line) == shlex.split(f"transfercli finetune t.yaml --set seed=1{said}")


def test_a_starter_s_launch_line_can_be_pasted() -> None:
    from transfercli.config.starter import starter

    assert "# Launch: transfercli finetune 'my configs/a.yaml'\n" in starter(file="my configs/a.yaml")


def test_the_backend_is_set_up_before_a_keras_set_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.training import backend

    order: list[str] = []

    def stop(source: str) -> None:
        order.append("load")
        raise DataError("no such set here")

    monkeypatch.setattr(backend, "prepare", lambda *_: order.append("prepare"))
    monkeypatch.setattr(keras_datasets, "load", stop)
    (tmp_path / "run.json").write_text(
        json.dumps(
            {
                "status": "running",
                "command": "",
                "config_folder": ".",
                "data": {"fingerprint": "", "images": {}},
                "versions": {},
            }
        )
    )
    config = tmp_path / "config.yaml"
    (tmp_path / "labels.json").write_text('["0", "1"]')
    config.write_text("name: k\ndata: {train: 'keras:mnist', image_size: 32}\nmodel: {base: small_cnn}\n")
    write_manifest(tmp_path / "dataset.csv", [Record("test/00001", "ab" * 32, "1", "test", 28, 28, "")])
    with pytest.raises(DataError):
        StoredRun(RunFolder(tmp_path)).split("test")
    assert order == ["prepare", "load"]
