"""`monitor` on a run that really trained: folders of images and logs, gates, the kept estimator, refusals."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.listener import Listener
from transfercli.cli.app import app
from transfercli.errors import ArtefactError, DataError, UsageError
from transfercli.evaluation.monitoring.log_folder import models_in, open_model_folder
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.data.drift import DriftRequest, data_drift
from transfercli.workflows.logged_model import facts_of
from transfercli.workflows.monitor import model_answers
from transfercli.workflows.monitor.model_answers import held_out_images
from transfercli.workflows.monitor.monitor import monitor
from transfercli.workflows.monitor.recent_answers import Recent, has_answers
from transfercli.workflows.monitor.request import MonitorRequest
from transfercli.workflows.monitor.result import MonitorResult
from transfercli.workflows.predict.predict import PredictRequest, predict_images
from transfercli.workflows.predict.predictors import find_model
from transfercli.workflows.stored_run import StoredRun


@pytest.fixture(autouse=True)
def few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer images of each known shift: the tests are about the workflow, not about the size of its errors."""
    monkeypatch.setattr(model_answers, "MOST_SHIFTED", 20)


@pytest.fixture(scope="module")
def copied(source: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path]:
    """Folder of runs with a copy of one run, its name, and its test images."""
    found, result = source
    runs = tmp_path_factory.mktemp("monitored") / "runs"
    run = Path(result["run"])
    shutil.copytree(run, runs / run.parent.name / run.name, symlinks=True)
    name = f"{run.parent.name}/{run.name}"
    return runs, name, found.samples / "digits-source" / "test"


@pytest.fixture
def noisy(copied: Any, tmp_path: Path) -> Path:
    """The test images of the digits 0 to 4 under heavy noise."""
    folder = tmp_path / "noisy"
    folder.mkdir()
    for number, file in enumerate(sorted(copied[2].rglob("*.png"))):
        pixels = np.asarray(Image.open(file).convert("RGB"))
        Image.fromarray(CORRUPTIONS["noise"](pixels, 5, 0, number)).save(folder / f"{number}.png")
    return folder


def monitored(copied: Any, folder: Path, reporter: Reporter | None = None, **more: Any) -> MonitorResult:
    runs, name, _ = copied
    return monitor(MonitorRequest(name, folder, runs, **more), reporter or Reporter())


def test_images_like_the_held_out_ones_are_expected_to_be_answered_as_well(copied: Any) -> None:
    result = monitored(copied, copied[2]).as_json()
    expected = result["expected"]["accuracy"]
    low, high = expected["interval"]
    assert low <= expected["value"] <= high
    assert expected["value"] == pytest.approx(expected["reference"], abs=0.05)
    assert expected["drop"] == pytest.approx(expected["reference"] - expected["value"])
    assert (result["source"], result["images"], result["compared"], result["passed"]) == ("images", 178, 178, True)
    assert {"average_confidence", "importance_weighting", "label_shift", "learnt_correction"} <= set(
        result["estimates"]
    )
    json.dumps(result, allow_nan=False)
    drift = data_drift(DriftRequest(copied[1], copied[2], copied[0]), Reporter()).as_json()
    assert result["drift"]["tests"] == drift["tests"]
    assert result["drift"]["score"] == drift["score"]


def test_noisy_images_are_expected_to_be_answered_worse_and_miss_a_gate(copied: Any, noisy: Path) -> None:
    result = monitored(copied, noisy, minimums=("accuracy=0.9", "f1[3]>=0.0"))
    accuracy, f1 = result.as_json()["gates"]
    assert (accuracy["passed"], f1["passed"], result.passed) == (False, True, False)
    assert accuracy["value"] == result.expectation.values["accuracy"].value
    on_lower = monitored(copied, noisy, minimums=("accuracy=0.0",), gate_on="lower").gates[0]
    assert on_lower["value"] == (result.expectation.values["accuracy"].interval or (None,))[0]
    assert result.drift is not None
    assert result.drift.drifted


@pytest.mark.slow
def test_known_shifts_are_passed_once_for_a_run(copied: Any, tmp_path: Path) -> None:
    runs, name, images = copied
    file = RunFolder(runs / name).monitoring
    file.unlink(missing_ok=True)
    first, second, third = Listener(), Listener(), Listener()
    result = monitored(copied, images, first)
    kept = file.read_bytes()
    again = monitored(copied, images, second)
    assert any("known shifts: 80 passes over 20 held-out images" in text for text in first.infos)
    assert not any("known shifts" in text for text in second.infos)
    assert again.expectation.values == result.expectation.values
    file.write_bytes(kept[:-40])
    monitored(copied, images, third)
    assert any("is made anew" in text for text in third.warnings)
    assert file.read_bytes() == kept


def test_a_log_has_the_same_expectation_as_its_images(copied: Any, noisy: Path, tmp_path: Path) -> None:
    runs, name, _ = copied
    log = tmp_path / "log"
    answers = predict_images(PredictRequest(name, runs, (str(noisy),), log=log), Reporter())
    assert sum(1 for _ in answers.answers) == 178
    of_log, of_images = monitored(copied, log), monitored(copied, noisy)
    assert (of_log.recent.source, of_log.recent.images) == ("log", 178)
    values = [each.expectation.values["accuracy"].value for each in (of_log, of_images)]
    assert values[0] == pytest.approx(values[1], abs=0.01)
    assert of_log.as_json()["days"][0]["images"] == 178
    with pytest.raises(ArtefactError, match="no answers"):
        monitor(MonitorRequest(name, log, runs, model="nobody/run"), Reporter())


def test_of_answers_of_the_run_and_its_artefact_those_of_the_run_are_compared(copied: Any, tmp_path: Path) -> None:
    runs, name, images = copied
    log, reporter = tmp_path / "log", Listener()
    answers = predict_images(PredictRequest(name, runs, (str(images),), log=log), Reporter())
    assert sum(1 for _ in answers.answers) == 178
    ((_, facts),) = models_in(log).items()
    assert has_answers(StoredRun(RunFolder(runs / name), Reporter()), Recent(log))
    open_model_folder(log, replace(facts, kind="onnx"))
    result = monitored(copied, log, reporter)
    assert (result.recent.images, result.recent.has_features) == (178, True)
    assert any("answers of 2 models" in text and "those of the run itself" in text for text in reporter.warnings)


def test_a_log_that_was_opened_and_holds_no_answer_has_none(copied: Any, tmp_path: Path) -> None:
    run = StoredRun(RunFolder(copied[0] / copied[1]), Reporter())
    open_model_folder(tmp_path / "log", facts_of(find_model(copied[1], copied[0], Reporter())))
    assert not has_answers(run, Recent(tmp_path / "log"))


def test_answers_that_are_all_the_same_are_not_trusted(copied: Any) -> None:
    result = monitored(copied, copied[2] / "0")
    assert any("of the answers are 0" in reason and "look alike" in reason for reason in result.reasons)
    assert not any("look alike" in reason for reason in monitored(copied, copied[2]).reasons)


def test_few_images_and_images_that_no_shift_resembles_are_not_trusted(copied: Any, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    rng, reporter = np.random.default_rng(0), Listener()
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(folder / f"{number}.png")
    result = monitored(copied, folder, reporter)
    assert not result.trusted
    assert any("only 12 recent images" in reason for reason in result.reasons)
    assert any("not to be trusted" in text for text in reporter.warnings)


def test_the_page_is_one_file_that_loads_nothing_and_has_the_numbers(copied: Any, noisy: Path, tmp_path: Path) -> None:
    result = monitored(copied, noisy, report=tmp_path / "out", minimums=("accuracy=0.99",))
    page = (tmp_path / "out" / "monitor.html").read_text()
    assert result.report == tmp_path / "out" / "monitor.html"
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert f"{result.expectation.values['accuracy'].value:.3f}" in page
    assert "1 of 1 gate not met" in page
    assert "do not know" not in page
    assert str(tmp_path) not in page
    with pytest.raises(UsageError, match="--report"):
        monitored(copied, noisy, report=noisy / "0.png" / "page.html")


def test_a_metric_that_cannot_be_expected_and_an_option_of_a_log_are_refused(copied: Any, noisy: Path) -> None:
    with pytest.raises(UsageError, match=r"log_loss cannot be expected without labels.*macro_f1"):
        monitored(copied, noisy, minimums=("log_loss<=0.3",))
    with pytest.raises(UsageError, match=r"7.* is not a known class"):
        monitored(copied, noisy, minimums=("f1[7]=0.3",))
    with pytest.raises(UsageError, match="--model chooses among the answers of a log"):
        monitored(copied, noisy, model="abc")


def test_a_missing_folder_and_one_without_images_are_errors(copied: Any, tmp_path: Path) -> None:
    for folder in (tmp_path / "gone", tmp_path):
        with pytest.raises(DataError):
            monitored(copied, folder)


@pytest.mark.slow
def test_images_that_a_log_kept_are_no_recent_images(copied: Any, tmp_path: Path) -> None:
    runs, name, images = copied
    log = tmp_path / "logs" / "night"
    answers = predict_images(PredictRequest(name, runs, (str(images / "0"),), log=log, keep_images=9), Reporter())
    asked = sum(1 for _ in answers.answers)
    (model,) = models_in(log)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "logs").symlink_to(log.parent)
    for place in (log.parent, tmp_path, tmp_path / "linked", model, model / "kept"):
        for read in (monitored, lambda _, place: data_drift(DriftRequest(name, place, runs), Reporter())):
            with pytest.raises(DataError, match=r"logs/night kept, which are those that .* least sure of") as caught:
                read(copied, place)
            assert "logs/night" in (caught.value.hint or "")
    assert monitored(copied, log).recent.images == asked
    again = PredictRequest(name, runs, (str(log.parent),), log=tmp_path / "other")
    with pytest.raises(UsageError, match=r"has images that the log .*night kept"):
        predict_images(again, Reporter())
    assert not (tmp_path / "other").exists()
    assert sum(1 for _ in predict_images(replace(again, log=None), Reporter()).answers) == 9


def test_held_out_images_are_test_and_validation_unless_the_model_learnt_from_the_latter(
    copied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = StoredRun.find(copied[1], copied[0], Reporter())
    assert held_out_images(run).names == "test and validation"
    monkeypatch.setattr(type(run.record), "refitted", True)
    assert held_out_images(run).names == "test"


def test_the_command_ends_with_5_for_a_gate_and_prints_its_result(copied: Any, noisy: Path) -> None:
    runs, name, _ = copied
    arguments = ["monitor", name, str(noisy), "--runs", str(runs), "--min-expected", "accuracy=0.99"]
    failed = CliRunner().invoke(app, [*arguments, "--json"])
    assert failed.exit_code == 5
    assert json.loads(failed.stdout)["gates"][0]["passed"] is False
    shown = CliRunner().invoke(app, arguments)
    assert "NOT MET" in shown.stdout
    zeros = ["monitor", name, str(copied[2] / "0"), "--runs", str(runs), "--min-expected", "f1[3]=0.1"]
    without = CliRunner().invoke(app, zeros, env={"COLUMNS": "1000"})
    assert (without.exit_code, "f1[3] is not defined for these images" in without.stderr) == (5, True)
    assert "classes that the model does not know" in shown.stdout
    assert CliRunner().invoke(app, ["monitor", name, str(noisy), "--runs", str(runs)]).exit_code == 0
