"""Images that change places without a change of their names, sizes and times."""

from __future__ import annotations

import os

import pytest

from tests.workflows.retrain.nights import Nights
from transfercli.runs import decisions
from transfercli.workflows.retrain import retrain


def test_two_images_that_change_places_are_a_new_data_set(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrain, "train_and_compare", lambda state, _: state.decision("kept", "trained, no gain"))
    first, second = (sorted((nights.images / label).iterdir())[0] for label in "56")
    for path in (first, second):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    assert first.stat().st_size == second.stat().st_size
    nights.night()
    kept = nights.images.parent / "kept"
    first.rename(kept)
    second.rename(first)
    kept.rename(second)
    nights.night()
    nights.night()
    assert nights.words == ["kept", "kept", "unchanged"]
    data = [decision.facts["subject"]["data"] for decision in decisions.read(nights.experiment)]
    assert data[0] != data[1] == data[2]
