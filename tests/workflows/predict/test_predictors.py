"""Predictors from artefacts: found, checked, loaded."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workflows.predict.predicted import said
from transfercli.errors import ArtefactError, UsageError
from transfercli.workflows.predict import artefact_models


def test_a_lone_artefact_has_its_card_with_it_and_one_without_is_refused(
    run: Any, exported: Any, tmp_path: Path
) -> None:
    import onnx

    world, _, files = run
    lone = tmp_path / "lone.onnx"
    lone.write_bytes((exported[0] / "onnx" / "model.onnx").read_bytes())
    assert said(world, lone, files[:3]) == said(world, exported[0] / "onnx", files[:3])
    model = onnx.load(lone)
    del model.metadata_props[:]
    onnx.save(model, lone)
    with pytest.raises(ArtefactError, match="has no transfercli metadata"):
        said(world, lone, files[:1])
    lone.write_bytes(b"no model")
    with pytest.raises(ArtefactError, match="cannot be loaded"):
        said(world, lone, files[:1])


def test_a_damaged_weight_is_found_by_its_hash_before_anything_is_loaded(
    run: Any, exported: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    world, _, files = run
    moved = tmp_path / "moved"
    shutil.copytree(exported[0] / "onnx", moved)
    assert said(world, moved, files[:1]) == said(world, exported[0] / "onnx", files[:1])
    content = bytearray((moved / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 0x40
    (moved / "model.onnx").write_bytes(content)
    monkeypatch.setattr(artefact_models, "read_sandboxed", None)
    for name in (moved, moved / "model.onnx"):
        with pytest.raises(ArtefactError, match="not as it was exported"):
            said(world, name, files[:1])


def test_an_export_json_of_something_else_does_not_name_the_classes(run: Any, exported: Any, tmp_path: Path) -> None:
    world, _, files = run
    told = json.loads((exported[0] / "onnx" / "export.json").read_text())
    told["labels"].reverse()
    shutil.copyfile(exported[0] / "onnx" / "model.onnx", tmp_path / "model.onnx")
    (tmp_path / "export.json").write_text(json.dumps(told))
    with pytest.raises(ArtefactError, match=r"does not match export\.json in the same folder"):
        said(world, tmp_path, files[:1])
    (tmp_path / "export.json").write_text(json.dumps(told | {"format": "litert"}))
    assert said(world, tmp_path / "model.onnx", files[:1]) == said(world, exported[0] / "onnx", files[:1])


@pytest.mark.parametrize(
    "answer, message",
    [([[0.5, 0.5, 1.0]], "returns 2 classes"), ([[np.nan, 0, 0, 0, 0, 1.0]], "numbers that are not finite")],
)
def test_what_a_damaged_network_says_is_an_error(
    run: Any, exported: Any, monkeypatch: Any, answer: Any, message: str
) -> None:
    world, _, files = run
    whole = artefact_models.read_sandboxed("onnx", exported[0] / "onnx" / "model.onnx")
    damaged = replace(whole, from_tensors=lambda images: np.array(answer * len(images)))
    monkeypatch.setattr(artefact_models, "read_sandboxed", lambda *_: damaged)
    with pytest.raises(ArtefactError, match=message):
        said(world, exported[0] / "onnx", files[:1])


def test_a_missing_runtime_is_a_usage_error_with_the_install_line(run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from transfercli.export.formats.registry import FORMATS

    world, _, files = run
    (tmp_path / "export.json").write_text('{"format": "onnx"}')
    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], runtime=("no_such_runtime",)))
    with pytest.raises(UsageError, match="no_such_runtime") as caught:
        said(world, tmp_path, files)
    assert caught.value.hint == "pip install 'transfercli[onnx]'"
