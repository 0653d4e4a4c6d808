"""The printed result of `pretrain` and `finetune`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from transfercli.cli.app import app
from transfercli.cli.commands import train
from transfercli.cli.next_steps import after_training
from transfercli.cli.ui.training_results import show_estimate
from transfercli.workflows.train.results import CostEstimate, PhaseCost


def test_the_estimate_of_a_dry_run_says_what_it_counts(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = {"train": 65.0, "features": 3.0}
    phase = PhaseCost("train", "none", 8, 1e-5, **seconds, cache_bytes=5_000_000, lora_rank=4, trained=1234)
    show_estimate(CostEstimate({"train": 5}, ("a", "b"), 7, (phase,), run_bytes=10**6, peak_memory_bytes=None))
    told = " ".join(capsys.readouterr().out.split())
    assert "time for training, about 1:05 min, compilation included" in told
    assert "run on disk, at most 1.0 MB" in told
    assert "not counted start of the program and Keras, and reading the images" in told
    assert told.endswith("train none, LoRA of rank 4 1,234 8 1e-05 3.0 s 1:05 min")


@pytest.mark.parametrize(
    "words, text",
    [
        (("--continue", "x/a"), "--continue needs --epochs"),
        (("--epochs", "3"), "--epochs needs --continue"),
        (("--continue", "x/a", "--epochs", "0"), "greater than or equal to 1"),
        (("c.yaml", "--continue", "x/a", "--epochs", "3"), "received CONFIG c.yaml too"),
        (("--continue", "x/a", "--epochs", "3", "--resume", "x/a"), "received --resume x/a too"),
        (("--continue", "x/a", "--epochs", "3", "--folds", "3"), "received --folds 3 too"),
        (("--find-lr",), "CONFIG is missing"),
        (("c.yaml", "--report", "a.png"), "--report needs --find-lr"),
        (("c.yaml", "--find-lr", "--run-id", "a", "--dry-run"), "--find-lr makes no run; received --run-id, --dry-run"),
    ],
)
def test_options_that_contradict_each_other_are_a_usage_error(words: tuple[str, ...], text: str) -> None:
    result = CliRunner().invoke(app, ["finetune", *words], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())


def test_the_table_of_a_range_test_says_which_rate_to_take(capsys: pytest.CaptureFixture[str]) -> None:
    from transfercli.training.phases import Phase
    from transfercli.training.range_test import RatePoint, Suggestion
    from transfercli.workflows.train.find_rate import RateResult

    phase, points = Phase("conv3", 5, 1e-4), (RatePoint(1e-7, 2.0, 2.0),)
    result = RateResult(
        "training.optimizer.learning_rate", phase, 2, 0.1, 1e-3, Suggestion(0.02, 0.031), points, Path("p")
    )
    train._show(result)
    shown = " ".join(capsys.readouterr().out.split())
    assert "phase tested 2, unfreeze conv3, which trains at 0.1 times the rate" in shown
    assert "suggested 0.0031, a tenth of the rate at the lowest loss" in shown
    own = {"config": "c.yaml", "overrides": None, "runs": None, "find_lr": True}
    words = after_training("finetune", own, result)
    assert words == ("finetune", "c.yaml", "--set", "training.optimizer.learning_rate=0.0031")
