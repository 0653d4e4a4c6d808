"""Readers of artefacts."""

from __future__ import annotations

import shutil

import pytest

from tests.export.any_network import ANY_NETWORK
from transfercli.export.formats.registry import FORMATS


def _place(exported, name):
    return exported.out / name / FORMATS[name].entry


@pytest.mark.parametrize("name", sorted(ANY_NETWORK))
def test_an_artefact_holds_its_own_labels_and_card(exported, spec, name, tmp_path):
    place = _place(exported, name)
    alone = tmp_path / (FORMATS[name].entry or name)  # without the files that stand beside it
    shutil.copytree(place, alone) if place.is_dir() else shutil.copyfile(place, alone)
    for partner in ("model.bin", "model.json"):
        if (place.parent / partner).exists() and place.is_file():
            shutil.copyfile(place.parent / partner, tmp_path / partner)
    found = FORMATS[name].read(alone)
    assert found.labels == spec.labels
    assert (found.spec.image_size, found.spec.resize) == (spec.image_size, spec.resize)
    assert (found.spec.temperature, found.spec.confidence) == (1.5, 0.75)
