"""How runs and evaluations are drawn with characters."""

from __future__ import annotations

import pytest

from transfercli.cli.commands.evaluate import confused
from transfercli.cli.commands.runs import _first_paths, curve, tree
from transfercli.cli.ui.formatting import sparkline
from transfercli.workflows.runs.runs import Generation


def test_a_sparkline_goes_from_the_lowest_to_the_highest_value() -> None:
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([]) == ""


@pytest.mark.parametrize("values", [41, 1000])
def test_a_long_sparkline_keeps_its_ends(values: int) -> None:
    drawn = sparkline([float(value) for value in range(values)], most=40)
    assert len(drawn) == 40
    assert (drawn[0], drawn[-1]) == ("▁", "█")


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


def test_the_most_frequent_mistakes_come_first_and_right_images_are_none() -> None:
    assert confused(["a", "b", "c"], [[9, 1, 0], [0, 9, 3], [1, 0, 9]]) == [
        ("b", "c", 3),
        ("a", "b", 1),
        ("c", "a", 1),
    ]
    assert confused(["a", "b"], [[2, 0], [0, 2]]) == []


def test_a_path_with_an_end_of_line_stays_one_name() -> None:
    assert _first_paths(["a\nb.png", "c.png"]) == "2: a\\nb.png, c.png"
    assert _first_paths([]) == "0"
