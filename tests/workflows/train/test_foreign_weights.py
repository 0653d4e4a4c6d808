"""The configs for torchvision's ResNets, from a file in PyTorch's layout to an export.

ImageNet's values are not at hand here: the values are random, under torchvision's names.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tests.models.weights.foreign.comparison import made_file
from transfercli.cli.app import main

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests/models/weights/foreign/fixtures"
Call = Callable[..., tuple[int, dict]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call(word, …)`: the exit code and the JSON result of the program in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, dict]:
        monkeypatch.setattr(sys, "argv", ["transfercli", *words, "--json"])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), json.loads(capsys.readouterr().out)

    return run


def finetune(call: Call, network: str, tensors: dict, digits: Path, *settings: str) -> tuple[int, dict]:
    safetensors.numpy.save_file(tensors, f"{network}.safetensors")
    changes = [
        f"data.train={digits / 'digits-target'}",
        "data.image_size=32",
        f"model.weights.path={Path(f'{network}.safetensors').absolute()}",
        *settings,
    ]
    config = ROOT / f"configs/torchvision/{network}.yaml"
    return call("finetune", str(config), *(word for change in changes for word in ("--set", change)))


def fixture_of(network: str) -> dict:
    return json.loads((FIXTURES / f"torchvision_{network}.json").read_text())


@pytest.mark.slow
def test_a_file_of_torchvisions_resnet18_is_fine_tuned_evaluated_and_exported(call: Call, digits_folder: Path) -> None:
    code, result = finetune(
        call,
        "resnet18",
        made_file(fixture_of("resnet18")),
        digits_folder,
        "transfer.phases=[{unfreeze: all, epochs: 2}]",
    )
    assert code == 0, result
    copied = json.loads((Path(result["run"]) / "transplant.json").read_text())
    base = [line for line in copied if line["tensor"].startswith("base/")]
    assert len(base) == 100
    assert {line["action"] for line in base} == {"copied"}
    code, evaluated = call("evaluate", "torchvision-resnet18")
    assert code == 0
    assert np.isfinite(evaluated["metrics"]["accuracy"])
    code, _ = call("export", "torchvision-resnet18", "--format", "safetensors", "--out", "exported")
    assert code == 0


def test_the_name_of_keras_resnet50_is_refused_with_the_base_to_use(call: Call, digits_folder: Path) -> None:
    zeros = {name: np.zeros(shape, "float32") for name, shape in fixture_of("resnet50")["shapes"].items()}
    code, result = finetune(call, "resnet50", zeros, digits_folder, "model.base=resnet50")
    assert code == 3
    text = f"{result['error']['message']} {result['error']['hint']}"
    assert "PyTorch names of a ResNet-50 v1.5" in text
    assert "use base resnet50_torch" in text
    assert not list(Path("runs").rglob("run.json"))
