"""The plan of a training and its counters."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from transfercli.config.schema import EarlyStoppingConfig, TrainingConfig
from transfercli.errors import ArtefactError
from transfercli.training.phases import PROBE, Phase
from transfercli.training.progress import Plan, Progress, parsed_progress


def plan(**training: object) -> Plan:
    return Plan((PROBE, Phase("all", 3, 1e-3), Phase("conv3", 2, 1e-4)), TrainingConfig(**training), 0)


def line(epoch: int, loss: float, accuracy: float = 0.5) -> dict[str, float]:
    return {"epoch": epoch, "val_loss": loss, "val_accuracy": accuracy}


def test_a_plan_counts_the_epochs_of_its_training_phases() -> None:
    assert plan().epochs == 5


@pytest.mark.parametrize("monitor, best", [("val_loss", [True, False, True]), ("val_accuracy", [True, True, False])])
def test_the_best_epoch_is_that_of_the_monitored_number(monitor: str, best: list[bool]) -> None:
    progress = Progress()
    lines = [line(1, 0.5, 0.6), line(2, 0.5, 0.8), line(3, 0.4, 0.8)]
    assert plan(early_stopping=EarlyStoppingConfig(monitor=monitor, patience=5)).monitor == monitor
    assert [progress.count(each, monitor) for each in lines] == best
    assert progress.best_epoch == max(number for number, is_best in enumerate(best, 1) if is_best)


def test_a_phase_is_over_at_its_last_epoch_or_after_epochs_without_gain() -> None:
    patient, hasty = plan(), plan(early_stopping=EarlyStoppingConfig(monitor="val_loss", patience=1))
    progress = Progress()
    assert progress.is_over(patient)  # a probe is solved in one step
    progress.next_phase()
    progress.count(line(1, 0.5), "val_loss")
    assert not progress.is_over(hasty)
    progress.count(line(2, 0.6), "val_loss")
    assert (progress.is_over(patient), progress.is_over(hasty)) == (False, True)
    progress.count(line(3, 0.7), "val_loss")
    assert progress.is_over(patient)
    progress.next_phase()
    assert (progress.phase, progress.in_phase, progress.waited, progress.best_epoch) == (3, 0, 0, 1)


def test_an_improvement_below_min_delta_is_waited_out_but_still_the_best_epoch() -> None:
    progress = Progress()
    least = plan(early_stopping={"min_delta": 0.1}).min_delta
    assert [
        progress.count(line(epoch, loss), "val_loss", least) for epoch, loss in enumerate((1.0, 0.95, 0.92), 1)
    ] == [True] * 3
    assert (progress.best_epoch, progress.waited) == (3, 2)
    progress.count(line(4, 0.85), "val_loss", least)
    assert progress.waited == 0


def test_the_best_epoch_of_every_monitor_but_a_loss_is_the_highest() -> None:
    for monitor in ("val_macro_f1", "val_balanced_accuracy"):
        progress = Progress()
        assert [progress.count({"epoch": n, monitor: value}, monitor) for n, value in ((1, 0.5), (2, 0.6))] == [
            True
        ] * 2


def test_a_plateau_is_counted_in_epochs_without_a_lowest_loss_and_anew_after_each() -> None:
    progress = Progress()
    losses = [1.0, 0.9, 0.95, 0.91, 0.92, 0.93, 0.8, 0.8]
    assert [progress.on_plateau(loss, 2) for loss in losses] == [False, False, False, True, False, True, False, False]
    progress.next_phase()
    assert (progress.level, progress.lowest_loss) == (0, None)


def test_the_counters_of_a_checkpoint_come_back_and_damaged_ones_are_refused() -> None:
    progress = Progress()
    progress.count(line(1, 0.5), "val_loss")
    text = json.dumps(asdict(progress))
    assert parsed_progress(text.encode()) == asdict(progress)
    for key, value in (("epoch", "1"), ("epoch", 2), ("phase", None)):
        with pytest.raises(ArtefactError, match="counters are damaged"):
            parsed_progress(json.dumps(json.loads(text) | {key: value}).encode())


def test_without_patience_no_phase_ends_early_and_the_monitor_chooses_the_best_epoch() -> None:
    long = plan(early_stopping={"monitor": "val_macro_f1", "patience": None})
    progress = Progress(phase=2)
    for epoch, (loss, f1) in enumerate(((0.9, 0.5), (0.5, 0.4)), 1):
        progress.count({"epoch": epoch, "val_loss": loss, "val_macro_f1": f1}, long.monitor)
    assert (progress.best_epoch, progress.is_over(long)) == (1, False)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("patience, least", [(1, 0.0), (2, 0.05), (3, 0.0)])
def test_plateaus_and_early_stops_are_those_of_the_callbacks_of_keras(seed: int, patience: int, least: float) -> None:
    import keras
    import numpy as np

    losses = np.round(np.random.default_rng(seed).uniform(0.5, 1.0, 30), 2).tolist()
    reduce = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=patience, min_delta=0.0)
    stop = keras.callbacks.EarlyStopping("val_loss", min_delta=least, patience=patience, mode="min")
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    for callback in (reduce, stop):
        callback.set_model(model)
        callback.on_train_begin()
    theirs, ours, progress, stopped = [], [], Progress(phase=2), []
    training = TrainingConfig(early_stopping={"patience": patience, "min_delta": least})
    thirty = Plan((PROBE, Phase("all", 30, 1e-3)), training, 0)
    model.stop_training = False
    for epoch, loss in enumerate(losses, 1):
        before = float(model.optimizer.learning_rate)
        reduce.on_epoch_end(epoch - 1, {"val_loss": loss})
        theirs.append(float(model.optimizer.learning_rate) < before)
        ours.append(progress.on_plateau(loss, patience))
        if not stopped:
            progress.count(line(epoch, loss), "val_loss", thirty.min_delta)
            stop.on_epoch_end(epoch - 1, {"val_loss": loss})
            assert progress.is_over(thirty) == (model.stop_training or epoch == 30)
            stopped += [epoch] * model.stop_training
    assert ours == theirs
    assert any(ours)
