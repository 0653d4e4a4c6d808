"""`transfercli runs why` as its users read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from transfercli.cli.commands.runs.why import _show
from transfercli.workflows.compare.attribution import Part, Remainder, Seed, WhyResult

PARTS = (
    Part("relabelled", "12 relabelled images of 'boot'", -0.011, (-0.019, -0.004), "boot", images=12),
    Part("added", "40 new images", 0.002, (-0.003, 0.008), images=40),
    Part("class weights", "training.class_weights", -0.001, None, keys=("training.class_weights",)),
)


def result(**more: Any) -> WhyResult:
    values: dict[str, Any] = {
        "first": Path("runs/x/1"),
        "second": Path("runs/x/2"),
        "metric": "accuracy",
        "images": 400,
        "values": (0.954, 0.94),
        "interval": (-0.022, -0.006),
        "verdict": "worse",
        "parts": PARTS,
        "seed": Seed(0, 0, 0.005),
        "unexplained": Remainder("training of the base and the rest", -0.004, (-0.01, 0.002)),
        "config": [{"key": "training.class_weights", "a": None, "b": "balanced", "effect": "class weights"}],
        "network": "start",
        "solves": 88,
        "strengths": (10.0, 10.0),
        "cached": {"hits": 900, "misses": 0},
    }
    return WhyResult(**(values | more))


def shown(capsys: pytest.CaptureFixture[str], **more: Any) -> list[str]:
    _show(result(**more))
    return capsys.readouterr().out.splitlines()


def test_the_first_line_is_the_difference_and_its_parts(capsys) -> None:
    assert shown(capsys)[0] == (
        "accuracy -1.4 points: 12 relabelled images of 'boot' -1.1, 40 new images +0.2, training.class_weights -0.1,"
        " seed ±0.5, training of the base and the rest -0.4"
    )


def test_the_first_line_says_so_if_the_difference_is_within_noise(capsys) -> None:
    noise = shown(capsys, verdict="no difference")[0]
    assert noise.startswith("within noise: accuracy -1.4 points (these test images show no difference): 12 relabelled")
    assert "another seed may make as much" in shown(capsys, seed=Seed(0, 1, 0.02))[0]
    assert shown(capsys, values=(0.954, None))[0] == "accuracy is not defined on these images"


def test_a_table_has_every_part_with_its_interval(capsys) -> None:
    rows = [line.split("  ") for line in shown(capsys)]
    cells = [[cell.strip() for cell in row if cell] for row in rows]
    assert ["12 relabelled images of 'boot'", "-1.1", "-1.9 to -0.4"] in cells
    assert ["training.class_weights", "-0.1", "-"] in cells
    assert ["another seed", "±0.5"] in cells
    assert ["difference on 400 test images", "-1.4", "-2.2 to -0.6"] in cells
    assert ["training.class_weights", "null", "balanced", "class weights"] in cells
    assert any(row[0] == "seed 0 -> 7" for row in (line.split("  ") for line in shown(capsys, seed=Seed(0, 7, None))))


def test_a_metric_without_an_upper_bound_is_not_in_points(capsys) -> None:
    first = shown(capsys, metric="log_loss", verdict="better")[0]
    assert first.startswith("log_loss -0.0140 (better): 12 relabelled images of 'boot' -0.0110,")
