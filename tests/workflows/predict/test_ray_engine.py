"""`predict --engine ray`: what a worker computes, and a whole run on a cluster of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.listener import Listener
from tests.workflows.predict.predicted import said
from transfercli.errors import ArtefactError, DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.workflows.cluster.worker import Located
from transfercli.workflows.predict import ray_engine
from transfercli.workflows.predict.predict import Prediction, PredictRequest, predict_images
from transfercli.workflows.predict.predictors import find_model
from transfercli.workflows.predict.ray_engine import PredictTask, predict_on_ray


def task_of(world: Any, name: Any, **options: Any) -> PredictTask:
    model = find_model(str(name), world.runs, Reporter())
    request = PredictRequest(str(model.location), world.runs, (), **options)
    return PredictTask(request, model.geometry.name, Path.cwd())


def test_a_worker_answers_as_predict_does(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    bad = tmp_path / "bad.png"
    bad.write_bytes(Path(files[0]).read_bytes()[:60])
    paths = [*files[:40], str(bad), "no.png"]
    compute = task_of(world, folder, top=5).load(1)
    answers = [*compute(paths[:30]), *compute(paths[30:])]  # twice: the model stays loaded
    expected = said(world, folder, paths, top=5)
    assert [(answer.path, answer.error) for answer, _ in answers] == [(one.path, one.error) for one in expected]
    for (answer, _), one in zip(answers[:40], expected[:40], strict=True):
        assert dict(answer.top) == pytest.approx(dict(one.top), abs=1e-6)


def test_the_model_is_found_by_an_absolute_path_that_no_link_can_change(run: Any, exported: Any) -> None:
    world, folder, _ = run
    for name, place in (("digits-source", folder), (exported[0] / "onnx", exported[0] / "onnx")):
        assert find_model(str(name), world.runs, Reporter()).location == Path(place).absolute()


def test_a_node_without_the_run_or_with_other_decoders_is_refused(run: Any, tmp_path: Path) -> None:
    world, folder, _ = run
    copy = tmp_path / folder.parent.name / folder.name
    shutil.copytree(folder, copy)
    task = task_of(world, copy)
    with pytest.raises(UsageError, match="other versions of Pillow"):
        PredictTask(task.request, "another recipe", tmp_path).load(1)
    shutil.rmtree(copy)
    with pytest.raises(ArtefactError, match="does not exist"):
        task.load(1)


@pytest.mark.parametrize("problem", ["does not exist", "unreadable: permission denied"])
def test_a_file_that_only_a_node_cannot_read_ends_the_command(problem: str, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"x")
    with pytest.raises(DataError, match=r"node n1 of the cluster cannot read .*a\.png"):
        ray_engine._seen(Located((Prediction(str(file), error=problem), ""), "n1"))
    lost = Prediction(str(tmp_path / "b.png"), error=problem)
    assert ray_engine._seen(Located((lost, ""), "n1"))[0] is lost  # nobody can read it


def test_without_a_readable_name_no_cluster_is_started(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, folder, _ = run
    monkeypatch.setattr(ray_engine, "connected_cluster", lambda: pytest.fail("started"))
    request = PredictRequest(str(folder), world.runs, (str(tmp_path), str(tmp_path / "*.png")))
    answers = predict_images(request, Reporter(), predict_on_ray).answers
    assert [next(answers).error, next(answers).error] == ["no image in this folder", "no file matches this pattern"]
    with pytest.raises(DataError, match="none of 2 images"):
        next(answers)


@pytest.fixture
def short_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A private home: a local cluster must not leave anything there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_cluster_of_this_machine_answers_as_predict_does(
    run: Any, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, folder, files = run
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    paths = (*files[:-1], "no.png", files[-1])
    listener = Listener()
    request = PredictRequest(str(folder), world.runs, paths, abstain=True, sets=0.8)
    found = list(predict_images(request, listener, predict_on_ray).answers)
    expected = said(world, folder, list(paths), abstain=True, sets=0.8)
    assert [one.path for one in found] == list(paths)
    for one, other in zip(found, expected, strict=True):
        assert (one.error, one.abstained, one.labels) == (other.error, other.abstained, other.labels)
        assert [name for name, _ in one.top] == [name for name, _ in other.top]
        assert dict(one.top) == pytest.approx(dict(other.top), abs=1e-6)
    assert any(f"1 of {len(paths)} images could not be read" in text for text in listener.warnings)
    assert list(short_folder.iterdir()) == []
