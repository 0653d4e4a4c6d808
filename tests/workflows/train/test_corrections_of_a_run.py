"""Label decisions and the runs that use them: what a run keeps, what a resumed one goes on with, and `retrain`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.listener import Listener
from tests.workflows.conftest import World
from transfercli.data.corrections.log import Decision, append_decisions
from transfercli.data.dataset import Record
from transfercli.data.manifest import read_manifest
from transfercli.errors import Interrupted
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.evaluate.evaluate import evaluate_run
from transfercli.workflows.evaluate.request import EvaluateRequest


def records_of(run: RunFolder) -> dict[str, Record]:
    return {record.path: record for record in read_manifest(run.dataset)}


def decide(log: Path, record: Record, new: str) -> None:
    append_decisions(log, [Decision(record.path, record.sha256, record.label, new, "Ann", "2026-11-29T08:21:07Z")])


@pytest.fixture
def sample(source: tuple[World, dict[str, object]]) -> list[Record]:
    """Images as a run recorded them."""
    return [*records_of(RunFolder(Path(str(source[1]["run"])))).values()]


def test_a_run_keeps_the_decisions_that_it_used_and_is_judged_by_its_own_labels(
    world: World, sample: list[Record]
) -> None:
    log = world.folder / "corrections.csv"
    tested = next(record for record in sample if record.split == "test")
    decide(log, tested, "4" if tested.label != "4" else "3")
    config = world.config("digits", "digits-source", data={"corrections": "corrections.csv"}, training={"epochs": 1})
    run = RunFolder(Path(world.train("pretrain", config)["run"]))
    assert run.corrections.read_bytes() == log.read_bytes()
    facts = json.loads(run.record.read_text())["data"]["corrections"]
    assert (facts["decisions"], facts["changed"], facts["kept"], facts["unused"]) == (1, 1, 0, {})
    assert records_of(run)[tested.path].label in "43"
    evaluate = EvaluateRequest(str(run.path), world.runs)
    before = evaluate_run(evaluate, Reporter()).as_json()
    log.unlink()
    assert evaluate_run(evaluate, Reporter()).as_json()["per_class"] == before["per_class"]


def test_a_resumed_run_goes_on_with_its_own_decisions(world: World, sample: list[Record]) -> None:
    log = world.folder / "corrections.csv"
    first, second = [record for record in sample if record.split == "train"][:2]
    decide(log, first, "4")
    config = world.config("digits", "digits-source", data={"corrections": "corrections.csv"}, training={"epochs": 2})
    stop = Interrupted(2, "stopped")
    with pytest.raises(Interrupted):
        world.train("pretrain", config, Listener(stop_at=lambda step: step[0].startswith("epoch 2"), error=stop))
    decide(log, second, "4")
    (path,) = (path for path in (world.runs / "digits").iterdir() if (path / "run.json").exists())
    result = world.train("pretrain", None, resume=str(path))
    assert result["status"] == "completed"
    labels = records_of(RunFolder(path))
    assert (labels[first.path].label, labels[second.path].label) == ("4", second.label)
