"""Range test of a config's learning rate: its suggestion and picture, and that no run is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from transfercli.errors import ConfigError
from transfercli.reporting import Reporter
from transfercli.training import range_test
from transfercli.workflows.train.find_rate import FindRateRequest, RateResult, find_learning_rate


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_test, "UPDATES", 30)


def find(world: Any, picture: Path | None = None, *overrides: str, **sections: Any) -> RateResult:
    config = world.config("t", "digits-target", **sections)
    return find_learning_rate(FindRateRequest("finetune", config, world.runs, overrides, picture), Reporter())


def test_a_rate_is_suggested_with_a_picture_and_nothing_else_is_written(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_test, "UPDATES", 80)
    result = find(world, transfer={"strategy": "scratch"}, model={"head": {"dropout": 0.2}})
    content = result.as_json()
    assert 1e-4 < content["suggestion"] < 0.1
    assert content["suggestion"] == pytest.approx(content["minimum"] / 10, rel=0.05)
    assert (content["key"], content["configured"]) == ("training.optimizer.learning_rate", 1e-3)
    assert content["curve"][0].keys() == {"learning_rate", "loss", "smoothed"}
    assert [str(path.relative_to(world.runs)) for path in world.runs.rglob("*")] == ["t", "t/find-lr.png"]
    with Image.open(content["picture"]) as picture:
        assert picture.size == (864, 480)


@pytest.mark.parametrize(
    "transfer, key, configured, share",
    [
        ({"strategy": "lora"}, "training.optimizer.learning_rate", 1e-3, 1.0),
        (
            {"phases": [{"unfreeze": "conv3", "epochs": 1, "learning_rate": 0.02}]},
            "transfer.phases[0].learning_rate",
            0.02,
            1.0,
        ),
    ],
)
def test_the_key_is_the_one_that_sets_the_rate_of_the_first_gradient_phase(
    world, transfer: dict[str, Any], key: str, configured: float, share: float
) -> None:
    settings = {"training": {"class_weights": "balanced"}, "augmentation": {"preset": "light", "views": 2}}
    result = find(world, world.folder / "p" / "a.png", transfer=transfer, **settings)
    assert (result.key, result.configured, result.phase_rate) == (key, configured, share)
    assert (world.folder / "p" / "a.png").exists()
    assert not world.runs.exists()


@pytest.mark.slow
def test_a_solved_head_has_no_rate(world, source, tmp_path: Path) -> None:
    weights = {"weights": {"run": str(Path(source[1]["run"]).resolve())}}
    with pytest.raises(ConfigError, match="no phase of this config trains by gradients"):
        find(world, model=weights, transfer={"strategy": "linear_probe"})
    tuned = find(world, model=weights, transfer={"strategy": "partial", "unfreeze": "conv3"})
    assert (tuned.number, tuned.phase.unfreeze) == (2, "conv3")  # the solved head comes first
    assert tuned.phase_rate == pytest.approx(0.1)
