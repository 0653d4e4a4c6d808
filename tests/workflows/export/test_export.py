"""Small artefacts of a real run, what they tell of where they came from, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.listener import Listener
from transfercli.errors import UsageError
from transfercli.export.exporter import ExportRejected
from transfercli.models.bases import BASES
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.export import export as workflow
from transfercli.workflows.export.export import ExportRunRequest, export_run, licence, reference_of
from transfercli.workflows.stored_run import StoredRun


def test_int8_is_made_with_training_images_and_proved(source: Any, tmp_path: Path) -> None:
    world, result = source
    call = ExportRunRequest(result["run"], world.runs, ("onnx",), "int8", tmp_path)
    (artefact,) = export_run(call, Reporter()).artefacts
    assert artefact["accuracy_original"] - artefact["accuracy_exported"] <= max(0.01, 2 / artefact["examples"])
    told = json.loads((tmp_path / "onnx" / "export.json").read_text())
    assert told["quantize"] == "int8"
    assert told["run"] == RunFolder(Path(result["run"])).label
    assert told["weights_licence"].startswith("trained from random weights")
    weights = Path(result["run"], "checkpoints", "best", "model.safetensors").stat().st_size
    assert artefact["bytes"] < weights / 2.5


def test_an_artefact_that_loses_more_than_is_allowed_is_gone(source: Any, tmp_path: Path) -> None:
    world, result = source
    call = ExportRunRequest(result["run"], world.runs, ("openvino",), "float16", tmp_path, max_drop=-1.0)
    with pytest.raises(ExportRejected, match="--max-drop allows -1") as caught:
        export_run(call, Reporter())
    assert caught.value.result is not None
    assert caught.value.result.artefacts[0]["format"] == "openvino"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_told_before_any_image_is_read(source: Any, monkeypatch: Any) -> None:
    from transfercli.export.formats import registry

    world, result = source
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "openvino" else object())
    monkeypatch.setattr("transfercli.workflows.stored_run.StoredRun.split", lambda *_: pytest.fail("images were read"))
    with pytest.raises(UsageError, match="--format openvino needs openvino") as caught:
        export_run(ExportRunRequest(result["run"], world.runs, ("onnx", "openvino")), Reporter())
    assert caught.value.hint == "pip install 'transfercli[openvino]'"


@pytest.mark.parametrize("kind, proved", [("TIFF", False), ("PNG", True)])
def test_what_tensorflow_does_not_decode_is_known_by_its_content(
    source: Any, tmp_path: Path, monkeypatch: Any, kind: str, proved: bool
) -> None:
    _, result = source
    run = RunFolder(Path(result["run"]))
    file = tmp_path / "image.png"
    Image.new("RGB", (9, 9)).save(file, kind)
    monkeypatch.setattr(workflow, "image_files", lambda _, paths: (file,) * len(paths))
    reporter = Listener()
    stored = StoredRun(run, reporter)
    files = reference_of(stored, stored.split("validation")).files
    assert bool(files) == proved
    assert any("does not decode TIFF" in line for line in reporter.warnings) != proved


@pytest.mark.parametrize(
    "weights, said",
    [
        ("imagenet", BASES["vgg16"].licence),
        ({"path": "folder/theirs.safetensors"}, "started from the file theirs.safetensors"),
        ({"run": "flowers@champion"}, "started from the run flowers@champion"),
    ],
)
def test_the_licence_follows_from_where_the_weights_came_from(source: Any, weights: Any, said: str) -> None:
    from transfercli.config.schema import ModelConfig

    _, result = source
    run = StoredRun(RunFolder(Path(result["run"])))
    config = run.config.model_copy(update={"model": ModelConfig(base="vgg16", weights=weights)})
    run.loaded = replace(run.loaded, config=config)
    assert licence(run).startswith(said)


@pytest.fixture
def run(source):
    world, result = source
    return world, Path(result["run"]), result


def test_both_formats_are_proved_equal_on_the_validation_images(run) -> None:
    world, folder, _ = run
    result = export_run(ExportRunRequest("digits-source", world.runs, ("saved_model", "keras")), Reporter())
    for artefact in result.artefacts:
        assert artefact["max_abs_diff"] < 1e-5
        assert artefact["label_agreement"] == 1
        place = folder / "exports" / artefact["format"]
        assert (place / "labels.txt").read_text().split() == list("01234")
        assert json.loads((place / "export.json").read_text())["run"] == f"digits-source/{folder.name}"


@pytest.mark.slow
def test_an_export_becomes_the_next_version_of_a_folder(run, tmp_path: Path) -> None:
    world, folder, _ = run
    (tmp_path / "served" / "4").mkdir(parents=True)
    call = ExportRunRequest("digits-source", world.runs, ("saved_model",), versions=tmp_path / "served")
    version = {"path": str(tmp_path / "served" / "5"), "number": 5, "new": True}
    assert export_run(call, Reporter()).as_json()["version"] == version
    assert export_run(call, Reporter()).as_json()["version"] == {**version, "new": False}  # though its bytes differ
    assert json.loads((tmp_path / "served" / "5" / "export.json").read_text())["run"] == f"digits-source/{folder.name}"


def test_versions_that_could_not_be_added_are_refused_before_any_work(run, tmp_path: Path) -> None:
    world, folder, _ = run
    for options, message in (
        ({"formats": ("onnx",), "versions": tmp_path}, "--versions holds saved_model"),
        ({"formats": ("saved_model",), "keep_versions": 2}, "--keep-versions needs --versions"),
        ({"formats": ("saved_model",), "versions": folder}, "cannot hold versions"),
    ):
        with pytest.raises(UsageError, match=message):
            export_run(ExportRunRequest("digits-source", world.runs, **options), Reporter())


def test_an_unknown_format_is_a_usage_error_before_any_work(run) -> None:
    world, _, _ = run
    with pytest.raises(UsageError, match="saved_model"):
        export_run(ExportRunRequest("digits-source", world.runs, ("saved_modle",)), Reporter())
