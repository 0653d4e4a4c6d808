"""Nights of an experiment whose images may have several labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.listener import Listener
from tests.scenes import write_scenes
from tests.workflows.retrain.nights import Nights
from transfercli.runs import decisions
from transfercli.runs.champions import champion_of
from transfercli.workflows.retrain.watched_images import AnsweredImage, Window, champion_fell, labels_contradict
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


@pytest.mark.slow
def test_an_image_with_other_labels_is_a_change_and_a_lost_label_a_loss(scenes: Scenes) -> None:
    config = yaml.safe_load(scenes.config.read_text())
    del config["task"]  # the table decides it
    scenes.config.write_text(yaml.safe_dump(config))
    scenes.set("training.epochs", 1)
    assert scenes.night()["decision"] == "first"
    assert sum(text.startswith("task: multilabel, because") for text in scenes.reporter.infos) == 1
    assert scenes.night()["decision"] == "unchanged"
    table = scenes.images / "labels.csv"
    table.write_text(
        "\n".join(line.replace(",2,", ",,").replace(";2,", ",") for line in table.read_text().splitlines())
    )
    night = scenes.night()
    assert night["decision"] in ("kept", "rejected", "promoted")
    assert night["changes"]["relabelled"] > 10
    assert night["changes"]["added"] == 0
    assert night["changes"]["lost_classes"] == ["2"]
    assert night["lost"] == {"classes": ["2"], "images": 0, "before": 240}
    assert scenes.champion.labels == ("0", "1", "2")
    (alert,) = (alert for alert in night["alerts"] if alert["kind"] == "images_lost")
    assert "1 of 3 labels ('2') are gone" in alert["message"]


def label_answers(number: int, share: float, folder: str, seed: int) -> list[AnsweredImage]:
    """Answers about two labels of each image, of which a share is wrong."""
    rng = np.random.default_rng(seed)
    return [
        AnsweredImage(
            label, bool(rng.random() < share), group=f"image {folder}{image}", path=f"{folder}/{image}.png",
            sha256=f"{folder}{image}", folder=folder, labels='["dog"]',
        )
        for image in range(number)
        for label in ("dog", "not cat")
    ]  # fmt: skip


def test_wrong_labels_and_a_fall_are_found_among_the_answers_to_each_label() -> None:
    earlier, good, bad = (
        label_answers(n, p, f, s) for n, p, f, s in ((80, 0.1, "a", 0), (60, 0.1, "b", 1), (40, 0.8, "c", 2))
    )
    assert labels_contradict(good, earlier, "x/champion", 0.001) is None
    alert = labels_contradict([*good, *bad], earlier, "x/champion", 0.001)
    assert alert is not None
    assert alert.figures["images"] == 40
    assert alert.figures["folder"] == "c"
    assert 50 < alert.figures["contradictions"] <= 80
    assert "of 80 answers to 40 new images under 'c' contradict the champion" in alert.message
    assert len(alert.figures["listed"]) == len({path for path, _ in alert.figures["listed"]}) <= 40
    assert alert.figures["listed"][0][1] == '["dog"]'
    assert champion_fell([Window("x/champion", good, earlier, 0.001)], "x/champion") is None
    fell = champion_fell([Window("x/champion", bad, earlier, 0.001)], "x/champion")
    assert fell is not None
    assert "on 80 answers to test images added since run x/champion" in fell.message


@pytest.mark.slow
def test_nights_with_several_labels(scenes: Scenes) -> None:
    """First, unchanged, relabelled, promoted, rejected by the floor, and a new label, one after the other."""
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
