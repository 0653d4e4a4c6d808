"""The printed results of `runs`: curves, lineage, long lists."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from transfercli.cli.app import main
from transfercli.cli.commands.runs import _first_paths, _show_run, curve, of_images, tree
from transfercli.workflows.runs.runs import Generation


def test_a_curve_leaves_out_epochs_without_a_value() -> None:
    assert curve([None, 2.0, 1.0]) == "2.0000 █▁ 1.0000"
    assert curve([None]) == "-"


def _generation(run: str, weights: object) -> Generation:
    return Generation(run, "completed", "finetune", "small_cnn", weights)


def test_a_lineage_is_a_tree_down_to_the_first_weights() -> None:
    child, parent = _generation("b/2", {"run": "a"}), _generation("a/1", "imagenet")
    assert tree([child, parent]) == [
        "b/2 (completed, finetune, small_cnn)",
        "└─ a/1 (completed, finetune, small_cnn)",
        "   └─ imagenet weights",
    ]
    assert tree([_generation("a/1", "none")])[-1] == "└─ random weights"
    assert tree([_generation("a/1", {"path": "theirs/w.safetensors"})])[-1] == "└─ weights of w.safetensors"
    assert tree([child, Generation("a/1", "gone")])[-1] == "└─ a/1 (gone)"


def test_an_evaluation_without_an_honest_image_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    row = SimpleNamespace(run=Path("runs/b/2"), links=(), status="completed", resume=None, created="", experiment="b")
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


def test_metrics_of_a_training_say_which_images_they_are_of() -> None:
    other, same = {"case": "another domain", "text": ""}, {"case": "same domain", "text": ""}
    of_all = "cross-validated on 250 training and validation images"
    assert of_images("val_loss", 250, other) == f" ({of_all}, not of the target's domain)"
    assert of_images("accuracy", 250, other) == " (not of the target's domain)"
    assert of_images("val_accuracy", 250, same) == f" ({of_all})"
    related = {"case": "related domains", "text": "", "tried": [{}] * 4}
    assert of_images("val_loss", 250, related) == f" ({of_all}, the best of 4 that were tried on them)"
    assert of_images("val_accuracy", None, None) == of_images("accuracy", 250, None) == ""


def test_a_path_with_an_end_of_line_stays_one_name() -> None:
    assert _first_paths(["a\nb.png", "c.png"]) == "2: a\\nb.png, c.png"
    assert _first_paths([]) == "0"


@pytest.mark.parametrize("words", [("a",), ("a", "b", "--split", "train"), ("a", "b", "--metric", "beauty")])
def test_compare_refuses_what_it_cannot_mean(words: tuple[str, ...], capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["transfercli", "runs", "compare", *words, "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "usage"
