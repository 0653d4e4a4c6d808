"""The printed result of `evaluate`."""

from __future__ import annotations

from transfercli.cli.commands.evaluate import confused


def test_the_most_frequent_mistakes_come_first_and_right_images_are_none() -> None:
    assert confused(["a", "b", "c"], [[9, 1, 0], [0, 9, 3], [1, 0, 9]]) == [
        ("b", "c", 3),
        ("a", "b", 1),
        ("c", "a", 1),
    ]
    assert confused(["a", "b"], [[2, 0], [0, 2]]) == []
