"""A run that was stopped: what it says of itself, and what it keeps when it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.listener import Listener
from transfercli.errors import ArtefactError, Interrupted
from transfercli.io.bounded import read_json
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.train.results import TrainResult


def test_a_run_without_a_finished_epoch_says_so_and_how_to_go_on(world) -> None:
    config = world.config("early", "digits-target", training={"epochs": 1})
    with pytest.raises(Interrupted, match="early/night had finished no epoch yet") as stopped:
        world.train(
            "finetune", config, Listener(stop_at="epoch 1"), run_id="night", overrides=("transfer.strategy=scratch",)
        )
    assert "--resume early/night" in str(stopped.value.hint)
    heir = world.config("heir", "digits-target", model={"weights": {"run": "early/night"}})
    for use in (
        lambda: evaluate_run(EvaluateRequest("early/night", world.runs), Reporter()),
        lambda: world.train("finetune", heir),
    ):
        with pytest.raises(ArtefactError, match="is interrupted and finished no epoch") as caught:
            use()
        assert f"transfercli finetune --runs {world.runs} --resume early/night" in str(caught.value.hint)


@pytest.mark.slow
def test_a_run_that_goes_on_drops_what_came_of_its_earlier_state_and_a_complete_one_keeps_it(world) -> None:
    config = world.config("late", "digits-target", training={"epochs": 2})
    with pytest.raises(Interrupted):
        world.train(
            "finetune", config, Listener(stop_at="epoch 2"), run_id="night", overrides=("transfer.strategy=scratch",)
        )
    run = world.runs / "late" / "night"
    evaluate_run(EvaluateRequest("late/night", world.runs), Reporter())
    (run / "exports" / "keras").mkdir(parents=True)
    results = [run / "evaluation", run / "exports"]
    world.train("finetune", None, resume="late", dry_run=True)
    assert [place.is_dir() for place in results] == [True, True]
    record = read_json(run / "run.json")
    del record["learnt_before"]  # as in a run of an earlier version
    (run / "run.json").write_text(json.dumps(record))
    assert TrainResult.read(RunFolder(run)).learnt_before is None
    finished = world.train("finetune", None, resume="late")
    assert finished["learnt_before"] == {}
    assert Path(finished["run"]) == run
    assert [place.exists() for place in results] == [False, False]
    evaluate_run(EvaluateRequest("late/night", world.runs), Reporter())
    assert world.train("finetune", None, resume="late/night") == finished
    assert (run / "evaluation" / "test" / "report.html").is_file()
