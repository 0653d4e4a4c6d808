from __future__ import annotations

import json
import site
from pathlib import Path

import numpy as np
import pytest

from tests.export.any_network import ANY_NETWORK
from transfercli.errors import ArtefactError, GateError, UsageError
from transfercli.export import exporter
from transfercli.export.exporter import ExportRejected, ExportRequest, export_formats
from transfercli.export.verify.measures import measures_for
from transfercli.export.verify.parity import ParityOutput
from transfercli.reporting import Reporter

FORMAT_NAMES = sorted(ANY_NETWORK)


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_artefact_answers_as_the_predictor_does(exported, name):
    result = exported.results[name]
    assert result["max_abs_diff"] <= 1e-5
    assert result["max_abs_diff_bytes"] <= 1e-5  # PNG files of the model's own size hold the same pixels
    assert result["label_agreement"] == 1.0
    assert result["accuracy_exported"] == result["accuracy_original"]


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_export_json_holds_the_result_the_input_and_where_it_came_from(exported, spec, name):
    written = json.loads((exported.out / name / "export.json").read_text())
    result = exported.results[name]
    assert {key: written[key] for key in result if key != "path"} == {k: v for k, v in result.items() if k != "path"}
    assert written["run"] == "digits/one"
    assert written["labels"] == list(spec.labels)
    assert (written["temperature"], written["abstain"]) == (1.5, {"confidence": 0.75})
    assert written["weights_licence"] == "none"
    assert written["input"]["height"] == 32
    assert written["input"]["resize"] == "stretch"
    assert (exported.out / name / written["path"]).resolve() == Path(result["path"]).resolve()
    assert result["bytes"] > 1000
    assert set(result["latency_ms"]) == {"batch_1", "batch_32"}


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_labels_stand_one_a_line_in_index_order(exported, spec, name):
    lines = (exported.out / name / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [*spec.labels[:9], "naïve\\nnine"]


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_no_file_of_an_artefact_holds_an_absolute_path(exported, name):
    here = [str(exported.out), str(Path.cwd()), str(Path.home()), *site.getsitepackages(), "site-packages"]
    for file in (exported.out / name).rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert [place for place in here if len(place) > 1 and place.encode() in content] == []


def test_export_leaves_nothing_beside_the_formats(exported):
    assert sorted(path.name for path in exported.out.iterdir()) == FORMAT_NAMES


class Fake:
    """Stands in for the child process: says what the run says, and then something else."""

    def __init__(self, reference, monkeypatch, **changed):
        answer = ParityOutput(reference.probabilities, reference.probabilities, None, {1: 1.0, 32: 2.0}, 0.5)
        values = {field: changed.get(field, getattr(answer, field)) for field in ParityOutput.__slots__}
        monkeypatch.setattr(exporter, "run_in_child", lambda *_: ParityOutput(**values))


def _export(predictor, spec, reference, out, **options):
    return export_formats(predictor, spec, reference, ExportRequest(("keras",), out, **options), {}, Reporter())


def test_artefact_whose_probabilities_differ_is_removed(predictor, spec, reference, tmp_path, monkeypatch):
    Fake(reference, monkeypatch, probabilities=reference.probabilities + 0.002)
    with pytest.raises(ExportRejected, match=r"differ from the run's by 0\.002") as caught:
        _export(predictor, spec, reference, tmp_path)
    assert isinstance(caught.value, GateError)
    assert caught.value.artefacts[0]["format"] == "keras"
    assert caught.value.artefacts[0]["max_abs_diff"] == pytest.approx(0.002, abs=1e-6)
    assert list(tmp_path.iterdir()) == []


def test_max_drop_removes_the_artefact_and_what_an_earlier_export_left(
    predictor, spec, reference, tmp_path, monkeypatch
):
    Fake(reference, monkeypatch)
    _export(predictor, spec, reference, tmp_path, max_drop=0.0)
    assert (tmp_path / "keras" / "model.keras").is_file()
    with pytest.raises(ExportRejected, match=r"accuracy drops by 0\.0000, and --max-drop allows -0\.5") as caught:
        _export(predictor, spec, reference, tmp_path, max_drop=-0.5)
    assert caught.value.artefacts[0]["accuracy_exported"] == caught.value.artefacts[0]["accuracy_original"]
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_earlier_export_gives_way(predictor, spec, reference, tmp_path, monkeypatch):
    Fake(reference, monkeypatch)
    _export(predictor, spec, reference, tmp_path)
    (tmp_path / "keras" / "export.json").write_text("{")
    _export(predictor, spec, reference, tmp_path)
    assert json.loads((tmp_path / "keras" / "export.json").read_text())["format"] == "keras"


@pytest.mark.parametrize("other", [{"run": "flowers/yesterday"}, {"quantize": "float16"}])
def test_a_rejected_artefact_leaves_what_an_export_of_another_run_or_precision_serves(
    other, predictor, spec, reference, tmp_path, monkeypatch
):
    Fake(reference, monkeypatch)
    _export(predictor, spec, reference, tmp_path)
    card = tmp_path / "keras" / "export.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | other))
    before = {path.name: path.read_bytes() for path in (tmp_path / "keras").iterdir()}
    with pytest.raises(ExportRejected):
        _export(predictor, spec, reference, tmp_path, max_drop=-0.5)
    assert {path.name: path.read_bytes() for path in (tmp_path / "keras").iterdir()} == before


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"probabilities": np.zeros((40, 9), np.float32)}, "shape"),
        ({"probabilities": np.full((40, 10), np.nan, np.float32)}, "not finite"),
        ({"labels": ("other",)}, "labels"),
    ],
)
def test_artefact_of_another_shape_is_an_error_and_the_older_one_stays(
    predictor, spec, reference, tmp_path, monkeypatch, changed, said
):
    older = tmp_path / "keras" / "model.keras"
    older.parent.mkdir()
    older.write_bytes(b"older")
    (older.parent / "export.json").write_text("{}")
    Fake(reference, monkeypatch, **changed)
    with pytest.raises(ArtefactError, match=said):
        _export(predictor, spec, reference, tmp_path)
    assert older.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["keras"]


def test_a_folder_that_is_no_export_is_left_alone(predictor, spec, reference, tmp_path):
    mine = tmp_path / "keras" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UsageError, match="contains files but is not an export"):
        _export(predictor, spec, reference, tmp_path)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("make", [Path.touch, lambda place: place.symlink_to("elsewhere")], ids=["file", "link"])
def test_a_file_in_the_place_of_an_export_is_left_alone(predictor, spec, reference, tmp_path, make):
    make(tmp_path / "keras")
    with pytest.raises(UsageError, match="is a file or a link"):
        _export(predictor, spec, reference, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["keras"]
    assert not (tmp_path / "keras").is_dir()


def test_places_are_looked_at_before_anything_is_written(predictor, spec, reference, tmp_path):
    (tmp_path / "keras").touch()
    with pytest.raises(UsageError):
        export_formats(predictor, spec, reference, ExportRequest(("safetensors", "keras"), tmp_path), {}, Reporter())
    assert [path.name for path in tmp_path.iterdir()] == ["keras"]


def test_int8_is_allowed_a_point_or_two_images_unless_told_otherwise(tmp_path):
    request, one_label = ExportRequest(("onnx",), tmp_path, "int8"), measures_for(None)
    assert request.allowed_drop(one_label, 1000) == 0.01
    assert request.allowed_drop(one_label, 50) == 0.04
    assert request.allowed_drop(measures_for((0.5, 0.5)), 50) == 0.01  # of mean average precision
    assert ExportRequest(("onnx",), tmp_path, "int8", max_drop=0.0).allowed_drop(one_label, 50) == 0.0
    assert ExportRequest(("onnx",), tmp_path, "float16").allowed_drop(one_label, 50) is None
