"""Estimates of what a training costs."""

from __future__ import annotations

from tests.training.trainers import trainer
from transfercli.training.phases import Phase


def test_each_phase_has_its_seconds_and_more_epochs_cost_more(digits) -> None:
    from transfercli.training.estimate import phase_costs

    short, long = phase_costs(trainer(digits, [Phase("none", 1, 1e-2), Phase("all", 2000, 1e-3)]))
    assert (short.kind, short.unfreeze, short.epochs, short.learning_rate) == ("train", "none", 1, 1e-2)
    assert 0 <= short.train < long.train
    assert (short.trained, long.trained) == (64 * 5 + 5, 56_320 + 64 * 5 + 5)
    assert long.as_json() == {
        "kind": "train",
        "unfreeze": "all",
        "epochs": 2000,
        "learning_rate": 1e-3,
        "lora_rank": None,
        "trained": long.trained,
        "train": long.train,
    }


def test_the_peak_of_memory_is_in_bytes_and_counts_what_was_given_back() -> None:
    from transfercli.training.estimate import peak_memory

    block = bytearray(2**28)
    size = len(block)
    del block
    peak = peak_memory()
    assert peak is None or size < peak < 2**40  # None: the system does not report it
