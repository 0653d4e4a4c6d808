"""The printed result of `pretrain` and `finetune`."""

from __future__ import annotations

import pytest

from transfercli.cli.commands import train
from transfercli.workflows.train.results import CostEstimate, PhaseCost


def test_the_estimate_of_a_dry_run_says_what_it_counts(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = {"train": 65.0, "features": 3.0}
    phase = PhaseCost("train", "none", 8, 1e-5, **seconds, cache_bytes=5_000_000, lora_rank=4, trained=1234)
    train.show_estimate(CostEstimate({"train": 5}, ("a", "b"), 7, (phase,), run_bytes=10**6, peak_memory_bytes=None))
    told = " ".join(capsys.readouterr().out.split())
    assert "time for training, about 1:05 min, compilation included" in told
    assert "run on disk, at most 1.0 MB" in told
    assert "not counted start of the program and Keras, and reading the images" in told
    assert told.endswith("train none, LoRA of rank 4 1,234 8 1e-05 3.0 s 1:05 min")
