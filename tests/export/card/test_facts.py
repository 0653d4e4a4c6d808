"""Facts of a model card, as files have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from transfercli.errors import ArtefactError
from transfercli.export.card.facts import ArtefactFacts, EvaluationFacts, RunFacts, validated

RECORD: dict[str, Any] = {
    "created": "2026-01-02T03:04:05Z",
    "command": "transfercli finetune a.yaml",
    "data": {"fingerprint": "0f" * 32, "images": {"train": 100, "test": 5}},
}


ARTEFACT: dict[str, Any] = {
    "run": "insects/one",
    "format": "keras", "bytes": 1_234_567, "quantize": "none", "label_agreement": 1.0, "max_abs_diff": 1e-6,
    "accuracy_exported": 0.75,
}  # fmt: skip


@pytest.mark.parametrize(
    "kind, value, place",
    [
        (EvaluationFacts, {"examples": "many"}, "examples"),
        (EvaluationFacts, {"examples": 1, "metrics": {"accuracy": "good"}}, "metrics.accuracy"),
        (ArtefactFacts, ARTEFACT | {"bytes": None}, "bytes"),
        (ArtefactFacts, [], "all of it"),
        (RunFacts, RECORD | {"seconds": {"train": {}}}, "seconds.train"),
    ],
)
def test_a_damaged_file_is_named_with_the_place(kind: type, value: Any, place: str) -> None:
    with pytest.raises(ArtefactError, match=f"x.json is damaged: {place}: "):
        validated(kind, value, Path("x.json"))
