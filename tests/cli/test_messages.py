"""What reaches a terminal, a log and a pipe is safe and says how to go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.cli.app import main
from transfercli.cli.commands import train
from transfercli.cli.runner import error_object, exit_code, message_of
from transfercli.cli.signals import StopRequest
from transfercli.cli.ui.console import Console, LiveConsole
from transfercli.cli.ui.tables import print_table
from transfercli.errors import BusyError, DataError, Interrupted, TransferError
from transfercli.text import counted, duration, printable
from transfercli.workflows.train.results import CostEstimate, PhaseCost


def test_control_characters_of_a_name_do_not_reach_the_terminal() -> None:
    assert printable("cat\x1b[2J\u202egod\nnext") == "cat\\x1b[2J\\u202egod\nnext"


def test_a_class_name_with_a_newline_stays_in_its_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("", "a\nb"), [("a\nb", 3)])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_log_has_what_stderr_had_before_it_existed_and_no_absolute_path(tmp_path: Path, capsys) -> None:
    console = Console(StopRequest())
    console.info("read /somewhere/private/images")
    console.attach_log(tmp_path / "log.txt")
    console.warning("later")
    assert (tmp_path / "log.txt").read_text() == "read …/images\nwarning: later\n"
    assert capsys.readouterr().err == "read /somewhere/private/images\nwarning: later\n"


def test_quiet_keeps_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(StopRequest(), quiet=True)
    console.info("not heard")
    console.warning("heard")
    assert capsys.readouterr().err == "warning: heard\n"


def test_a_wish_to_stop_is_honoured_at_the_next_progress() -> None:
    stop = StopRequest()
    console = Console(stop)
    console.progress("epoch 1", 1, 2)
    stop.signum = 15
    with pytest.raises(Interrupted):
        console.progress("epoch 1", 2, 2)


@pytest.mark.parametrize(
    "error, code",
    [(DataError("x"), 4), (BusyError("x"), 75), (Interrupted(15), 143), (Interrupted(2), 130), (KeyError("x"), 1)],
)
def test_every_failure_has_its_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code
    assert error_object(error)["error"]["code"] == code


def test_a_message_ends_with_the_way_out() -> None:
    assert message_of(TransferError("it broke", "mend it")) == "error: it broke\n  hint: mend it"
    assert message_of(Interrupted(15, "stopped; kept", "go on")) == "stopped; kept\n  resume: go on"


def test_durations_read_naturally() -> None:
    assert [duration(s) for s in (3.21, 42, 185, 7800)] == ["3.2 s", "42 s", "3:05 min", "2:10 h"]


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


def test_one_is_told_in_the_singular() -> None:
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]


def test_an_epoch_is_one_line_however_long_it_is(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    line = {"epoch": 1, "learning_rate": 1e-3, "seconds": 3.0, "images_per_second": 900.0}
    line |= dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5) | {"val_recall": {"b" * 30: 0.1}}
    Console(StopRequest()).epoch(line, 8)
    (told,) = capsys.readouterr().err.splitlines()
    assert len(told) > 100


@pytest.mark.parametrize("words", [["evaluate", "x", "--split", "train"], ["export", "x", "--quantize", "int4"]])
def test_a_choice_that_is_none_lists_those_there_are(words: list[str], capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["transfercli", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert f"error: Invalid value for '{words[-2]}': '{words[-1]}' is not one of '" in error


def test_the_estimate_of_a_dry_run_says_what_it_counts(capsys: pytest.CaptureFixture[str]) -> None:
    phase = PhaseCost("train", "none", 8, 1e-5, train=65.0, features=3.0, cache_bytes=5_000_000)
    train.show_estimate(CostEstimate({"train": 5}, ("a", "b"), 7, (phase,), run_bytes=10**6, peak_memory_bytes=None))
    told = " ".join(capsys.readouterr().out.split())
    assert "time for training, about 1:05 min, compilation included" in told
    assert "run on disk, at most 1.0 MB" in told
    assert "not counted start of the program and Keras, and reading the images" in told
    assert told.endswith("train none 8 1e-05 3.0 s 1:05 min")


def test_an_epoch_fits_the_terminal_without_what_is_needed_least_and_the_log_has_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {"epoch": 3, "learning_rate": 1e-3, "seconds": 3.0, "images_per_second": 900.0}
    line |= dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5) | {"val_recall": {"cat": 0.25}}
    told = {}
    for columns in (200, 120, 80, 30):
        monkeypatch.setenv("COLUMNS", str(columns))
        console = LiveConsole(StopRequest())
        console.attach_log(tmp_path / f"{columns}.txt")
        console.epoch(line, 8)
        told[columns] = capsys.readouterr().err.splitlines()
    whole = (
        "epoch 3/8  loss 0.5000  accuracy 0.5000  val_loss 0.5000  val_accuracy 0.5000  worst class 'cat' 0.25"
        "  lr 0.001  900 images/s  3.0 s, 15 s left"
    )
    assert told[200] == [whole]
    assert told[120] == [whole.replace("  lr 0.001  900 images/s", "")]
    assert told[80] == ["epoch 3/8  val_loss 0.5000  val_accuracy 0.5000  3.0 s, 15 s left"]
    assert told[30] == ["epoch 3/8  val_accuracy 0.5000"]
    assert {path.read_text() for path in tmp_path.iterdir()} == {whole + "\n"}
