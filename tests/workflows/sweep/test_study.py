"""Values that a sweep tries, and trials that it leaves out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from tests.workflows.sweep.conftest import Formula, Sweeps
from transfercli.errors import ConfigError, OutOfSpaceError, TransferError, WeightsError
from transfercli.workflows.sweep import sweep as recipe
from transfercli.workflows.sweep.result import SweepResult, TrialRow
from transfercli.workflows.sweep.search.presence import Presence
from transfercli.workflows.sweep.search.source import StudySource
from transfercli.workflows.sweep.trials import TrialSource

GRID = """sweep:
  sampler: grid
  space:
    training.optimizer.name: {choice: [sgd, adam]}
    model.base: {choice: [small_cnn, resnet18]}
    model.head.dropout: {range: [0, 0.3], step: 0.1}
"""
PROBES = """sweep:
  trials: 30
  pruner: none
  space:
    transfer.strategy: {choice: [linear_probe, full]}
    model.head.hidden: {choice: [[], [64], [8]]}
    training.optimizer.name: {choice: [sgd, adam]}
"""
RUN = "model.weights={run: other}"


def values(result: SweepResult) -> list[dict[str, Any]]:
    return [row.values for row in result.trials]


def test_the_first_trial_has_the_configs_own_values(sweeps: Sweeps) -> None:
    assert values(sweeps.run())[0] == {
        "training.optimizer.learning_rate": 1e-3,
        "model.head.hidden": [],
        "model.head.dropout": 0.0,
    }


def test_own_values_outside_of_the_space_are_not_tried(sweeps: Sweeps) -> None:
    first = values(sweeps.run(overrides=["training.optimizer.learning_rate=0.9"]))[0]
    assert first["training.optimizer.learning_rate"] < 0.1


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_values_are_of_the_kind_and_in_the_range_of_their_key(sampler: str, sweeps: Sweeps) -> None:
    space = """sweep:
  trials: 15
  space:
    model.head.dropout: {range: [0, 1e-1]}
    training.regularization.l2: {log: [1e-6, 1]}
    data.batch_size: {log: [8, 128]}
    training.epochs: {range: [2, 8], step: 3}
    training.regularization.label_smoothing: {range: [0, 0.3], step: 0.1}
    training.class_weights: {choice: [null, balanced, {a: 2, b: 1.5}]}
"""
    tried = values(sweeps.run(space, [f"sweep.sampler={sampler}", "sweep.pruner=none"]))
    assert len({json.dumps(one) for one in tried}) == 15
    for one in tried:
        assert type(one["model.head.dropout"]) is float
        assert 0 <= one["model.head.dropout"] <= 0.1
        assert 1e-6 <= one["training.regularization.l2"] <= 1
        assert type(one["data.batch_size"]) is int
        assert one["training.epochs"] in (2, 5, 8)
        assert one["training.regularization.label_smoothing"] in (0.0, 0.1, 0.2, 0.3)
        assert one["training.class_weights"] in (None, "balanced", {"a": 2, "b": 1.5})


def test_values_follow_from_the_seed(sweeps: Sweeps) -> None:
    first = values(sweeps.run(sweep_id="a"))
    assert values(sweeps.run(sweep_id="b")) == first
    assert values(sweeps.run(sweep_id="c", overrides=["seed=1"]))[1:] != first[1:]


def test_a_grid_tries_every_combination_once_and_each_base_in_one_piece(sweeps: Sweeps) -> None:
    result = sweeps.run(GRID, ["data.image_size=64"])
    assert len({json.dumps(one) for one in values(result)}) == len(result.trials) == 16
    assert [one["model.base"] for one in values(result)] == ["small_cnn"] * 8 + ["resnet18"] * 8
    assert sorted({one["model.head.dropout"] for one in values(result)}) == [0.0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_impossible_combinations_are_left_out_of_a_small_space_which_ends(sampler: str, sweeps: Sweeps) -> None:
    result = sweeps.run(PROBES, [f"sweep.sampler={sampler}", RUN])
    assert len({json.dumps(one) for one in values(result)}) == len(result.trials) == 8
    assert all(one["transfer.strategy"] == "full" or not one["model.head.hidden"] for one in values(result))
    said = "4 combinations of 12 are not possible and left out, such as strategy linear_probe, hidden [64]"
    assert sweeps.reporter.lines[0].startswith(said)


def test_impossible_values_are_drawn_again_in_a_space_without_end(sweeps: Sweeps) -> None:
    endless = PROBES + "    training.optimizer.learning_rate: {log: [1e-4, 1e-1]}\n"
    result = sweeps.run(endless, [RUN])
    assert [row.state for row in result.trials] == ["completed"] * 30
    assert all(one["transfer.strategy"] == "full" or not one["model.head.hidden"] for one in values(result))


def test_a_base_without_published_weights_is_impossible(sweeps: Sweeps) -> None:
    space = "sweep:\n  space:\n    model.base: {choice: [small_cnn, resnet50]}\n"
    own = ["model={base: resnet50}", "transfer.strategy=null", "data.image_size=64"]
    result = sweeps.run(space, own)
    assert [one["model.base"] for one in values(result)] == ["resnet50"]


def test_trials_that_are_invalid_do_not_count(sweeps: Sweeps, formula: Formula) -> None:
    formula.failures = {2: TrialRow(2, {}, "failed", reason="no such stage", code=3)}
    result = sweeps.run()
    assert [row.number for row in result.trials] == list(range(13))
    assert (result.trials[2].state, result.trials[2].reason) == ("failed", "no such stage")


def test_an_endless_search_for_valid_trials_ends(sweeps: Sweeps, formula: Formula) -> None:
    formula.failures = {number: TrialRow(number, {}, "failed", reason="no such stage", code=3) for number in range(99)}
    with pytest.raises(ConfigError, match="all 12 trials failed; the first"):
        sweeps.run()


@pytest.mark.parametrize("code, kind", [(3, ConfigError), (7, WeightsError), (8, OutOfSpaceError), (1, TransferError)])
def test_if_all_trials_fail_the_first_gives_the_exit_code(
    code: int, kind: type[TransferError], sweeps: Sweeps, formula: Formula
) -> None:
    first, other = TrialRow(0, {}, "failed", reason="reason", code=code), TrialRow(1, {}, "failed", code=3)
    formula.failures = {0: first, **{number: replace(other, number=number) for number in range(1, 9)}}
    with pytest.raises(kind) as caught:
        sweeps.run(overrides=["sweep.trials=3"])
    assert type(caught.value).__name__ in (kind.__name__, "FailedTrials")
    folder = next(sweeps.folder.glob("runs/flowers/sweeps/*"))
    assert json.loads((folder / "sweep.json").read_text())["state"] == "failed"


def test_a_metric_that_is_not_a_number_is_a_failure(sweeps: Sweeps, formula: Formula) -> None:
    def diverges(values: dict[str, Any]) -> float:
        return float("nan") if values["model.head.hidden"] == [16] else 0.5

    formula.score = diverges
    result = sweeps.run()
    states = {(row.values["model.head.hidden"] == [16], row.state) for row in result.trials}
    assert states == {(True, "failed"), (False, "completed")}
    assert all("not a number" in str(row.reason) for row in result.trials if row.state == "failed")


def test_a_loss_is_minimised(sweeps: Sweeps, formula: Formula) -> None:
    result = sweeps.run(overrides=["sweep.metric=log_loss", "sweep.pruner=none"])
    values_of = [row.value for row in result.trials if row.value is not None]
    assert result.metric == "val_loss"
    assert result.winner
    assert result.winner["naive"] == min(values_of) == result.ranked()[0].value


def test_the_search_learns(sweeps: Sweeps) -> None:
    scores = {}
    for sampler in ("tpe", "random"):
        options = [f"sweep.sampler={sampler}", "sweep.trials=40", "sweep.pruner=none"]
        scores[sampler] = [row.value or 0.0 for row in sweeps.run(overrides=options).trials][20:]
    assert sum(scores["tpe"]) > sum(scores["random"])


def test_two_processes_share_the_trials(sweeps: Sweeps, formula: Formula, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the first process trains trial 2, another one trains all that are left, and does not touch trial 2."""
    other: list[SweepResult] = []

    def first(source: TrialSource, jobs: int, reporter: Any) -> None:
        while (spec := source.next()) is not None:
            if spec.number == 2:
                monkeypatch.setattr(recipe, "train_trials", formula)
                other.append(sweeps.run())
            source.done(formula._train(spec, source))

    monkeypatch.setattr(recipe, "train_trials", first)
    result = sweeps.run()
    assert [row.state for row in other[0].trials].count("running") == 1
    assert other[0].trials[2].state == "running"
    assert [row.number for row in result.trials] == list(range(12))
    assert len(formula.trained) == len(set(formula.trained))
    assert "another process works on this sweep: 1 trial running" in sweeps.reporter.lines


def test_values_that_another_host_draws_at_the_same_moment_are_drawn_again(
    sweeps: Sweeps, formula: Formula, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host begins trial 1 before trial 0 has stored the values that both would try first."""

    def first(source: StudySource, jobs: int, reporter: Any) -> None:
        (sweeps.folder / "other").mkdir()
        other = replace(source, presence=Presence(sweeps.folder / "other", "other"), _running={}, _left=set())
        suggest, begun = source._suggest, []

        def suggest_late(trial: Any) -> None:
            if not begun:
                begun.append(other.next())
            suggest(trial)

        source._suggest = suggest_late  # type: ignore[method-assign]
        for worker in (source, other):
            while (spec := begun.pop() if worker is other and begun else worker.next()) is not None:
                worker.done(formula._train(spec, worker))

    monkeypatch.setattr(recipe, "train_trials", first)
    result = sweeps.run(GRID, storage=f"sqlite:///{sweeps.folder}/trials.db")
    tried = [str(sorted(row.values.items())) for row in result.trials]
    assert len(set(tried)) == len(tried) == 16
    assert [row.number for row in result.trials][:2] == [1, 2]  # 0 was withdrawn


def test_a_config_without_a_sweep_shows_one(sweeps: Sweeps) -> None:
    with pytest.raises(ConfigError, match="sweep: is missing") as caught:
        sweeps.run("")
    assert "space:\n    training.optimizer.learning_rate: {log: [1e-4, 1e-2]}" in str(caught.value.hint)
    sweeps.config(f"sweep:{str(caught.value.hint).partition('sweep:')[2]}\n")
    assert len(sweeps.run(f"sweep:{str(caught.value.hint).partition('sweep:')[2]}\n").trials) == 20


def test_several_seeds_a_trial_are_refused(sweeps: Sweeps) -> None:
    with pytest.raises(ConfigError, match="cannot be combined with sweep"):
        sweeps.run(overrides=["training.seeds=[0, 1]"])


@pytest.mark.parametrize(
    "overrides, place",
    [
        (["data.validation=0.3"], "data.validation=0.3: data.validation: cannot be combined with sweep.folds"),
        (["data.folds=4", "data.fold=1"], "data.folds=4: data.folds: cannot be combined"),
        (["data.train=FOLDER"], "sweep.folds: '.*split' has validation images of its own"),
    ],
)
def test_folds_and_other_validation_images_are_refused(
    overrides: list[str], place: str, sweeps: Sweeps, formula: Formula
) -> None:
    for split in ("train", "validation"):
        for label in "ab":
            (sweeps.folder / "split" / split / label).mkdir(parents=True)
            Image.new("L", (8, 8)).save(sweeps.folder / "split" / split / label / "1.png")
    given = [text.replace("FOLDER", str(sweeps.folder / "split")) for text in overrides]
    with pytest.raises(ConfigError, match=place):
        sweeps.run(overrides=["sweep.folds=3", *given])
    assert not formula.trained
    assert not (sweeps.folder / "runs").exists()


def test_files_of_a_sweep_hold_its_settings_trials_and_winner(sweeps: Sweeps) -> None:
    result = sweeps.run()
    content = json.loads((result.folder / "sweep.json").read_text())
    assert content["format"] == 1
    assert content["state"] == "completed"
    assert content["counts"] == result.counts()
    assert content["winner"]["run"] == f"{result.sweep}-{content['winner']['trial']:03d}"
    rows = (result.folder / "trials.csv").read_text(encoding="utf-8-sig").splitlines()
    assert rows[0].startswith("trial,state,val_accuracy,seconds,run,reason,training.optimizer.learning_rate,model.head")
    assert len(rows) == 13
    assert str(sweeps.folder) not in (result.folder / "sweep.json").read_text() + "".join(rows)


def test_another_space_may_be_given_by_options(sweeps: Sweeps, formula: Formula) -> None:
    result = sweeps.run(overrides=["sweep.space={seed: {range: [0, 3]}}", "sweep.trials=9"])
    assert sorted(one["seed"] for one in values(result)) == [0, 1, 2, 3]
