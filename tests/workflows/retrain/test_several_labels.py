"""Nights of an experiment whose images may have several labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.listener import Listener
from tests.scenes import write_scenes
from tests.workflows.retrain.nights import Nights
from transfercli.runs import decisions
from transfercli.runs.champions import champion_of
from transfercli.workflows.stored_run import StoredRun


class Scenes(Nights):
    """A table of scenes that changes from night to night."""

    def write(self, **more: Any) -> None:
        config = {
            "name": "nightly",
            "task": "multilabel",
            "data": {
                "train": "images/labels.csv",
                "columns": {"label": "labels"},
                "label_separator": ";",
                "image_size": 32,
                "batch_size": 8,
            },
            "model": {"base": "small_cnn", "weights": "none", "head": {"pooling": "max"}},
            "transfer": {"strategy": "scratch"},
            "training": {"epochs": 6, "optimizer": {"learning_rate": 0.005}},
            "compute": {"cache_dir": "cache"},
            **more,
        }
        self.config.write_text(yaml.safe_dump(config))

    def set(self, key: str, value: Any) -> None:
        config = yaml.safe_load(self.config.read_text())
        *sections, last = key.split(".")
        section = config
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = value
        self.config.write_text(yaml.safe_dump(config))

    @property
    def champion(self) -> StoredRun:
        folder = champion_of(self.experiment)
        assert folder is not None
        return StoredRun(folder)


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenes:
    from transfercli.workflows.retrain import retrain

    monkeypatch.setattr(retrain, "export_failure", lambda *_: "")
    found = Scenes(tmp_path / "images", tmp_path, tmp_path / "nightly.yaml", tmp_path / "runs", Listener())
    write_scenes(found.images, range(240))
    found.write()
    return found


def test_nights_with_several_labels(scenes: Scenes) -> None:
    """First, unchanged, relabelled, rejected by the floor, promoted and a new label, one after the other."""
    scenes.set("training.epochs", 1)
    first = scenes.night()
    assert first["decision"] == "first"
    assert first["figures"]["metric"] == "map"
    assert scenes.night()["decision"] == "unchanged"
    facts = decisions.read(scenes.experiment)[0].facts
    assert facts["images_in_all"] == 240
    assert sum(facts["images"].values()) != 240

    table = scenes.images / "labels.csv"
    text = table.read_text()
    table.write_text(text.replace("0000.png,", "0000.png,0;", 1) if "0000.png,0" not in text else text)
    scenes.set("training.epochs", 12)
    scenes.set("retrain.start", "base")
    promoted = scenes.night()
    assert promoted["decision"] == "promoted", promoted["reason"]
    compared = promoted["comparison"]
    assert compared["metric"] == "map"
    assert compared["gain"] > 0
    assert compared["p_value"] < 0.05
    assert [row["label"] for row in compared["per_class"]] == ["0", "1", "2"]
    assert compared["lifetime"]["alpha"] > 0

    scenes.set("retrain.promote", {"metric": "micro_f1", "per_class_floor": 1.0})
    scenes.set("training.epochs", 1)
    rejected = scenes.night()
    assert rejected["decision"] == "rejected"
    assert "per_class_floor" in rejected["reason"]

    scenes.set("retrain", {"promote": {"metric": "micro_f1"}})
    scenes.set("training.epochs", 2)
    write_scenes(scenes.images, range(240, 300), labels=(1, 2, 3))
    extended = scenes.night()
    assert extended["changes"]["new_classes"] == ["3"]
    assert extended["comparison"]["metric"] == "micro_f1"
    kinds = {alert["kind"]: alert for alert in extended["alerts"]}
    if extended["decision"] == "promoted":
        assert scenes.champion.labels == ("0", "1", "2", "3")
    else:
        assert kinds["class_without_row"]["classes"] == ["3"]
