from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from transfercli.errors import ArtefactError
from transfercli.training.phases import PROBE, Lora, Phase, recorded_phases

PHASES = [
    PROBE,
    Phase("conv5", 3, 1e-4, decay=0.5),
    Phase(2, 1, 1),
    Phase("all", 1, 1.0, lora=Lora(2, 4.0, ("query",))),
    Phase("all", 1, 0.0, "refit", head="linear_probe"),
]


def test_recorded_phases_come_back() -> None:
    assert recorded_phases(json.loads(json.dumps([asdict(phase) for phase in PHASES]))) == PHASES
    earlier = asdict(PROBE)
    del earlier["lora"], earlier["head"]  # phases of a run from before there were LoRA and several heads
    assert recorded_phases([earlier]) == [PROBE]


@pytest.mark.parametrize(
    "key, value",
    [("epochs", "1"), ("epochs", None), ("kind", "rm"), ("unfreeze", [1]), ("decay", {}), ("lora", {"rank": "8"})],
)
def test_damaged_phases_are_no_phases(key: str, value: Any) -> None:
    with pytest.raises(ArtefactError, match=key):
        recorded_phases([asdict(PROBE) | {key: value}])


@pytest.mark.parametrize("entries", [{"a": 1}, "train", [1], [{"epochs": 1}]])
def test_what_is_no_list_of_phases_is_refused(entries: Any) -> None:
    with pytest.raises(ArtefactError, match="damaged: phases"):
        recorded_phases(entries)
