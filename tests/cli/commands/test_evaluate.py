"""The printed result of `evaluate`."""

from __future__ import annotations

from typing import Any

import pytest

from transfercli.cli.commands.evaluate import _show_trust, confused


def test_the_most_frequent_mistakes_come_first_and_right_images_are_none() -> None:
    assert confused(["a", "b", "c"], [[9, 1, 0], [0, 9, 3], [1, 0, 9]]) == [
        ("b", "c", 3),
        ("a", "b", 1),
        ("c", "a", 1),
    ]
    assert confused(["a", "b"], [[2, 0], [0, 2]]) == []


@pytest.mark.parametrize(
    "threshold, possible, said",
    [
        (0.9, None, "abstains below a confidence of 0.900, chosen on images held out from training for accuracy 0.99:"),
        (
            None,
            0.95,
            "abstains always, chosen on images held out from training for accuracy 0.99 (they can promise 0.95",
        ),
        (
            None,
            None,
            "held out from training for accuracy 0.99: on this split it answers for 50.0%",
        ),
    ],
)
def test_abstention_is_said_if_it_is_promised_or_not(
    threshold: float | None, possible: float | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    abstention: dict[str, Any] = {"target": {"accuracy": 0.99}, "threshold": threshold, "possible": possible}
    _show_trust({"abstention": abstention | {"coverage": 0.5, "accuracy": None, "interval": None}})
    assert said in capsys.readouterr().out
