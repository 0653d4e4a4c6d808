"""The line of an epoch: its numbers, its worst class, and the width of the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.cli.signals import StopRequest
from transfercli.cli.ui.console import Console, LiveConsole


def test_an_epoch_names_the_class_found_least_and_none_where_all_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console(StopRequest())
    numbers = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "images_per_second"), 0.5)
    line = {"epoch": 1, "seconds": 1.0, **numbers}
    console.epoch({**line, "val_recall": {"cat": 1.0, "a\x1b" + "b" * 50: 0.25}}, 2)
    console.epoch({**line, "val_recall": {"cat": 1.0, "dog": 1.0}}, 2)
    console.epoch(line, 2)
    told = capsys.readouterr().err.splitlines()
    assert "val_accuracy 0.5000  worst class 'a\\x1bbbbbbbbbbbbbbbbbb… 0.25  lr" in told[0]
    assert not [text for text in told[1:] if "worst" in text]


def test_an_epoch_is_one_line_however_long_it_is(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    line = {"epoch": 1, "learning_rate": 1e-3, "seconds": 3.0, "images_per_second": 900.0}
    line |= dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5) | {"val_recall": {"b" * 30: 0.1}}
    Console(StopRequest()).epoch(line, 8)
    (told,) = capsys.readouterr().err.splitlines()
    assert len(told) > 100


def test_an_epoch_fits_the_terminal_without_what_is_needed_least_and_the_log_has_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {"epoch": 3, "learning_rate": 1e-3, "seconds": 3.0, "images_per_second": 900.0}
    line |= dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5) | {"val_recall": {"cat": 0.25}}
    told = {}
    for columns in (200, 120, 80, 50, 30):
        monkeypatch.setenv("COLUMNS", str(columns))
        console = LiveConsole(StopRequest())
        console.attach_log(tmp_path / f"{columns}.txt")
        console.epoch(line, 8)
        told[columns] = capsys.readouterr().err.splitlines()
    whole = (
        "epoch 3/8  loss 0.5000  accuracy 0.5000  val_loss 0.5000  val_accuracy 0.5000  worst class 'cat' 0.25"
        "  lr 0.001  900 images/s  3.0 s  15 s left"
    )
    assert told[200] == [whole]
    assert told[120] == [whole.replace("  lr 0.001  900 images/s", "")]
    assert told[80] == ["epoch 3/8  loss 0.5000  val_loss 0.5000  val_accuracy 0.5000  15 s left"]
    assert told[50] == ["epoch 3/8  loss 0.5000  val_accuracy 0.5000"]
    assert told[30] == ["epoch 3/8  val_accuracy 0.5000"]
    assert {path.read_text() for path in tmp_path.iterdir()} == {whole + "\n"}
