"""Speeds of devices and the decisions to cache that follow from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from transfercli.errors import ArtefactError
from transfercli.transfer.features.caching_decisions import CachingDecisions
from transfercli.transfer.features.cost_model import CachingCost, reason_not_to_cache
from transfercli.transfer.features.device_speeds import GPUS, OTHER, PROCESSOR, DeviceSpeeds, speeds_of

MAPS = CachingCost(multiplications=1e9, row_bytes=50_000_000, images=1000, rows=1000, epochs=10)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("cpu", "cpu"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("NVIDIA L40S", "L40S"),
        ("Tesla T4", "T4"),
        ("TPU v4", "other accelerator"),
    ],
)
def test_a_device_has_the_row_of_its_kind(name: str, kind: str) -> None:
    assert speeds_of(name).kind == kind


def test_figures_of_no_measurement_say_so_and_name_their_source() -> None:
    assert all("not measured" in row.source and "data sheet" in row.source for row in (*GPUS, OTHER))
    h100 = speeds_of("NVIDIA H100 80GB HBM3")
    assert h100.multiplications("bfloat16") == pytest.approx(0.1 * 989e12 / 2)
    assert h100.multiplications("float32") == pytest.approx(0.1 * 494.5e12 / 2)


def test_a_device_that_computes_faster_than_a_disk_reads_caches_nothing() -> None:
    assert reason_not_to_cache(MAPS, 1e12, replace(PROCESSOR, float32=1e9)) == ""
    assert "saves no time" in reason_not_to_cache(MAPS, 1e12, speeds_of("NVIDIA H100"))


def test_features_in_bfloat16_are_computed_at_the_speed_of_bfloat16() -> None:
    cost, speeds = replace(MAPS, epochs=2, row_bytes=4096), DeviceSpeeds("x", 1e10, 1e11)
    slow = cost.seconds_cached(speeds)
    assert replace(cost, precision="bfloat16").seconds_cached(speeds) == pytest.approx(slow - 1000 / 10 + 1000 / 100)


def test_a_recorded_decision_holds_whatever_would_be_decided_now() -> None:
    kept: list[dict[str, object]] = []
    first = CachingDecisions(speeds_of("Tesla T4"), record=kept.append)
    assert first.reason("conv4, 5 epochs", lambda: "they need 3 GB") == "they need 3 GB"
    again = CachingDecisions.parse(kept[-1], "run.json")
    assert again.speeds == first.speeds
    assert again.reason("conv4, 5 epochs", pytest.fail) == "they need 3 GB"
    assert again.reason("conv5, 5 epochs", str) == ""


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"reasons": {}},
        {"reasons": {"a": 1}, "speeds": PROCESSOR.as_json()},
        {"reasons": {}, "speeds": PROCESSOR.as_json() | {"float32": 0}},
        {"reasons": {}, "speeds": PROCESSOR.as_json() | {"read": "fast"}},
        {"reasons": {}, "speeds": {"kind": "cpu"}},
    ],
)
def test_damaged_decisions_are_an_error(content: object) -> None:
    with pytest.raises(ArtefactError, match=r"run\.json"):
        CachingDecisions.parse(content, "run.json")
