"""The printed result of `runs show`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from transfercli.cli.commands.runs.show import _show_run, tree
from transfercli.workflows.runs.runs import Generation


def _generation(run: str, weights: object, depth: int = 0) -> Generation:
    return Generation(run, "completed", "finetune", "small_cnn", weights, depth=depth)


def test_a_lineage_is_a_tree_down_to_the_first_weights() -> None:
    child, parent = _generation("b/2", {"run": "a"}), _generation("a/1", "imagenet", 1)
    assert tree([child, parent]) == [
        "b/2 (completed, finetune, small_cnn)",
        "└─ a/1 (completed, finetune, small_cnn)",
        "   └─ imagenet weights",
    ]
    assert tree([_generation("a/1", "none")])[-1] == "└─ random weights"
    assert tree([_generation("a/1", {"path": "theirs/w.safetensors"})])[-1] == "└─ weights of w.safetensors"
    assert tree([child, Generation("a/1", "gone", depth=1)])[-1] == "└─ a/1 (gone)"


def test_the_members_of_a_merged_run_stand_below_each_other() -> None:
    merged, members = _generation("m/1", "none"), [_generation(f"a/{number}", "none", 1) for number in (1, 2)]
    assert [line[:6] for line in tree([merged, *members])] == ["m/1 (c", "└─ a/1", "└─ a/2", "   └─ "]


def test_an_evaluation_without_an_honest_image_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    about = {
        "status": "completed",
        "resume": None,
        "going_on": None,
        "created": "",
        "experiment": "b",
        "headline": "accuracy",
    }
    row = SimpleNamespace(run=Path("runs/b/2"), links=(), **about)
    _show_run(
        SimpleNamespace(  # type: ignore[arg-type] - of its parts, those that are printed
            row=row,
            command="transfercli finetune b.yaml",
            best_epoch=1,
            metrics={"val_accuracy": 0.5, "val_roc_auc": None},
            curves={},
            evaluations={"test": {"accuracy": None}},
            seconds={},
            lineage=[_generation("b/2", "none")],
            files=[],
            adaptation=None,
            cross_validated=None,
        )
    )
    printed = capsys.readouterr().out
    assert "test accuracy, evaluated  not defined" in printed
    assert "0.5000" in printed
