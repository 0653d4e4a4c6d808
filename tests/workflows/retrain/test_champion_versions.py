"""Champions as versions of a folder that TensorFlow Serving polls (`retrain.versions`)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.retrain.nights import Nights, fails_with, write_config
from transfercli.config.loader import load
from transfercli.errors import ConfigError, DiskError
from transfercli.export.verify.checksums import checksums_of
from transfercli.export.version_folders import numbers_in
from transfercli.runs.folder import RunFolder
from transfercli.workflows.retrain import retrain as workflow
from transfercli.workflows.retrain.challenger import export_failure
from transfercli.workflows.retrain.promote import PromoteRequest, promote


@pytest.fixture(autouse=True)
def _small_exports(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of an export without TensorFlow's proof, which takes seconds."""

    def export(challenger: RunFolder, *_: Any) -> str:
        write_artefact(challenger)
        return ""

    monkeypatch.setattr(workflow, "export_failure", export)


def write_artefact(run: RunFolder) -> None:
    folder = run.exports / "saved_model"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_text(f"the graph of {run.label}")
    (folder / "assets.extra" / "transfercli.json").write_text(json.dumps({"run": run.label}))
    exported = {"format": "saved_model", "run": run.label, "sha256": checksums_of(folder)}
    (folder / "export.json").write_text(json.dumps(exported))


def versioned(nights: Nights, **retrain: Any) -> Path:
    """Let the nights add versions; the folder is named relative to the config."""
    import yaml

    base = yaml.safe_load(nights.config.read_text())["model"]["weights"]["run"]
    write_config(nights, base, retrain={"versions": "served/digits", **retrain})
    return nights.config.parent / "served" / "digits"


def run_in(version: Path) -> str:
    return str(json.loads((version / "export.json").read_text())["run"])


def test_each_new_champion_is_the_next_version(nights: Nights) -> None:
    folder = versioned(nights)
    first = nights.night()
    assert first["version"] == {"path": str(folder / "1"), "number": 1, "new": True}
    assert run_in(folder / "1") == f"nightly/{Path(first['champion']).name}"
    unchanged = nights.night()
    assert (unchanged["decision"], unchanged["version"]["new"]) == ("unchanged", False)
    assert numbers_in(folder) == [1]


def test_a_night_makes_up_for_a_version_that_could_not_be_written(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = versioned(nights)
    with monkeypatch.context() as broken:
        broken.setattr(workflow, "add_champion_version", fails_with(DiskError("the disk is full", "free some")))
        with pytest.raises(DiskError):
            nights.night()
    assert nights.words == ["first", "failed"]
    assert not folder.exists()
    assert nights.night()["version"]["number"] == 1
    assert nights.words == ["first", "failed", "unchanged"]


def test_a_champion_without_a_saved_model_is_named_in_a_warning(nights: Nights) -> None:
    folder = versioned(nights)
    first = nights.night()
    shutil.rmtree(folder)
    shutil.rmtree(Path(first["champion"]) / "exports")
    assert "version" not in nights.night()
    assert any("has no saved_model: transfercli export" in text for text in nights.reporter.warnings)


def test_a_champion_that_was_restored_by_hand_is_a_new_version_and_old_ones_go(nights: Nights) -> None:
    folder = versioned(nights, keep_versions=1)
    first = RunFolder(Path(nights.night()["champion"]))
    other = RunFolder(nights.experiment / f"{first.run_id[:-6]}000000")
    shutil.copytree(first.path, other.path, symlinks=True)
    write_artefact(other)
    promote(PromoteRequest(str(other.path), None, nights.runs), nights.reporter)
    assert nights.night()["version"]["number"] == 2
    assert (numbers_in(folder), run_in(folder / "2")) == ([2], other.label)
    promote(PromoteRequest(None, "nightly", nights.runs), nights.reporter)
    assert nights.night()["version"]["number"] == 3
    assert (numbers_in(folder), run_in(folder / "3")) == ([3], first.label)


@pytest.mark.slow
def test_a_version_is_the_proved_export_of_the_champion(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "export_failure", export_failure)
    folder = versioned(nights)
    champion = Path(nights.night()["champion"])
    version = folder / "1"
    assert json.loads((version / "export.json").read_text())["proved"]
    for file in ("saved_model.pb", "variables/variables.data-00000-of-00001", "labels.txt"):
        assert (version / file).read_bytes() == (champion / "exports" / "saved_model" / file).read_bytes()


@pytest.mark.parametrize(
    "sections, message",
    [
        ({"retrain": {"versions": "served"}, "export": {"formats": ["onnx"]}}, "needs saved_model in export.formats"),
        ({"retrain": {"keep_versions": 3}}, "needs retrain.versions"),
    ],
)
def test_keys_that_could_have_no_effect_are_refused(nights: Nights, sections: dict[str, Any], message: str) -> None:
    write_config(nights, ".", **sections)
    with pytest.raises(ConfigError, match=message):
        load(nights.config)
