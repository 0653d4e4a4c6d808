"""Strategies are pure: from a request to phases."""

from __future__ import annotations

from typing import Any

import pytest

from transfercli.config.schema import ExperimentConfig
from transfercli.errors import ConfigError
from transfercli.training.phases import Lora, Phase
from transfercli.transfer.strategies import PROBE, REFIT, STRATEGIES, phases_of, share_out

STAGES = ("conv1", "conv2", "conv3")


def config(epochs: int = 20, model: dict[str, Any] | None = None, **transfer: Any) -> ExperimentConfig:
    return ExperimentConfig.model_validate(
        {
            "name": "s",
            "data": {"train": "images"},
            "model": {"base": "small_cnn", "weights": {"run": "earlier"}, **(model or {})},
            "transfer": transfer,
            "training": {"epochs": epochs},
        }
    )


def phases(strategy: str, epochs: int = 20, hidden: tuple[int, ...] = (32,), **more: Any) -> list[Phase]:
    return phases_of(config(epochs, {"head": {"hidden": list(hidden)}}, strategy=strategy, **more), STAGES)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 7, 20])
def test_every_strategy_trains_exactly_the_epochs_asked_for(strategy: str, epochs: int) -> None:
    found = phases(strategy, epochs)
    assert sum(phase.epochs for phase in found) == epochs
    assert all(phase.epochs >= 1 and phase.learning_rate > 0 for phase in found)


def test_feature_extraction_never_touches_the_base() -> None:
    assert phases("feature_extraction") == [Phase("none", 20, 1e-3)]


@pytest.mark.parametrize("strategy", ["partial", "gradual", "full"])
def test_a_linear_head_is_solved_for_and_all_epochs_go_to_the_phases_after_it(strategy: str) -> None:
    first, *later = phases(strategy, hidden=())
    assert first == PROBE
    assert sum(phase.epochs for phase in later) == 20
    assert "none" not in {phase.unfreeze for phase in later}


def test_a_linear_probe_takes_no_epoch() -> None:
    assert phases("linear_probe", hidden=()) == [REFIT]


def config_with(strategy: str, data: dict[str, Any] | None = None, **training: Any) -> ExperimentConfig:
    whole = config(strategy=strategy).model_dump() | {"data": {"train": "images", **(data or {})}}
    return ExperimentConfig.model_validate(whole | {"training": training})


def test_validation_images_are_given_back_to_a_solved_head_unless_the_config_says_no_or_a_fold_is_measured() -> None:
    assert phases_of(config_with("multilayer_probe"), STAGES) == [REFIT]
    assert phases_of(config_with("multilayer_probe", refit=False), STAGES) == [PROBE]
    assert phases_of(config_with("linear_probe", data={"folds": 5}), STAGES) == [PROBE]
    assert phases_of(config_with("linear_probe", data={"folds": 5}, refit=True), STAGES) == [REFIT]


@pytest.mark.parametrize("strategy", ["partial", "full", "feature_extraction"])
def test_a_strategy_that_ends_with_a_training_cannot_refit(strategy: str) -> None:
    assert phases_of(config_with(strategy, refit=False), STAGES) == phases_of(config_with(strategy), STAGES)
    with pytest.raises(ConfigError, match=r"training\.refit: true needs a head that is solved at the end"):
        phases_of(config_with(strategy, refit=True), STAGES)


@pytest.mark.parametrize("model", [{"weights": "none"}, {"head": {"init": "keep"}}])
def test_nothing_is_solved_on_a_base_that_knows_nothing_or_over_a_head_that_is_kept(model: dict[str, Any]) -> None:
    assert phases_of(config(model=model, strategy="linear_probe"), STAGES) == [Phase("none", 20, 1e-3)]


def test_partial_trains_the_head_first_and_then_from_the_stage_at_a_lower_rate() -> None:
    head, rest = phases("partial", unfreeze="conv2")
    assert (head.unfreeze, rest.unfreeze) == ("none", "conv2")
    assert rest.learning_rate < head.learning_rate


def test_partial_without_a_stage_takes_the_last() -> None:
    assert phases("partial")[-1].unfreeze == "conv3"


def test_gradual_goes_down_stage_by_stage_and_slower() -> None:
    found = phases("gradual")
    assert [phase.unfreeze for phase in found] == ["none", "conv3", "conv2", "conv1"]
    rates = [phase.learning_rate for phase in found]
    assert rates == sorted(rates, reverse=True)


def test_full_probes_first() -> None:
    assert [phase.unfreeze for phase in phases("full")] == ["none", "all"]


def test_lora_adapts_the_whole_base_or_its_upper_part_at_the_full_rate() -> None:
    assert phases("lora", hidden=()) == [PROBE, Phase("all", 20, 1e-3, lora=Lora(8))]
    settings = {"rank": 4, "alpha": 8, "layers": ["query"]}
    head, adapted = phases("lora", unfreeze="conv2", lora=settings)
    assert (head.unfreeze, head.lora) == ("none", None)
    assert adapted == Phase("conv2", adapted.epochs, 1e-3, lora=Lora(4, 8.0, ("query",)))


def test_explicit_phases_are_taken_as_they_are() -> None:
    given = [{"epochs": 3}, {"unfreeze": "conv3", "epochs": 2, "learning_rate": 1e-5, "decay": 0.75}]
    assert phases_of(config(phases=given), STAGES) == [
        Phase("none", 3, 1e-3),
        Phase("conv3", 2, 1e-5, decay=0.75),
    ]


def test_epochs_are_shared_by_largest_remainder() -> None:
    assert share_out(20, [1, 2]) == [7, 13]
    assert share_out(10, [1, 1, 1]) == [4, 3, 3]
    assert share_out(1, [1, 2]) == [0, 1]
