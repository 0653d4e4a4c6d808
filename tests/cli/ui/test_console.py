"""Messages on a terminal and in a log: safe, complete, and stopped on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.cli.signals import StopRequest
from transfercli.cli.ui.console import Console
from transfercli.errors import Interrupted


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


EPOCH = {"epoch": 1, "loss": 0.5, "val_loss": 0.5, "val_accuracy": 0.75, "accuracy": 0.5, "seconds": 1.0}


@pytest.mark.parametrize("terminal", [False, True])
def test_parts_show_each_warning_once_and_log_all_their_lines(
    terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(StopRequest())
    monkeypatch.setattr(console, "width", lambda: 80 if terminal else None)
    for name in ("trial 1", "trial 2"):
        part = console.part(name)
        part.attach_log(tmp_path / name)
        part.info("images")
        part.warning("few images")
        part.epoch({**EPOCH, "phase": 1, "learning_rate": 0.1, "images_per_second": 3.0}, 2)
        part.close()
        log = (tmp_path / name).read_text().splitlines()
        assert log[:2] == ["images", "warning: few images"]
        assert log[2].startswith("epoch 1/2")
        assert len(log) == 3
    shown = lines(capsys)
    epochs = [line for line in shown if "epoch 1/2" in line]
    assert [line for line in shown if line not in epochs] == ["warning: trial 1: few images"]
    assert [line[:7] for line in epochs] == ([] if terminal else ["trial 1", "trial 2"])


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_long_stage_prints_a_line_a_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(StopRequest(), clock=clock)
    for done in range(0, 5000, 100):  # 250 seconds
        console.progress("features", done, 5000)
        clock.now += 5
    assert lines(capsys) == [f"features: {done} of 5,000 images" for done in ("1,200", "2,400", "3,600", "4,800")]


def test_a_short_stage_prints_none(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(StopRequest(), clock=clock)
    for done in range(59):
        console.progress("ingest", done, 59, "files")
        clock.now += 1
    assert lines(capsys) == []


def test_any_other_line_starts_the_minute_again(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(StopRequest(), clock=clock)
    clock.now += 59
    console.info("reading the images")
    clock.now += 59
    console.progress("epoch 2", 3, 40, "steps")
    assert lines(capsys) == ["reading the images"]
    clock.now += 1
    console.progress("epoch 2", 4, 40, "steps")
    assert lines(capsys) == ["epoch 2: 4 of 40 steps"]


def test_a_line_that_is_not_shown_does_not_break_the_silence(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(StopRequest(), clock=clock)
    clock.now += 60
    console.debug("only with --verbose")
    console.progress("probe", 1, 12, "strengths")
    assert lines(capsys) == ["probe: 1 of 12 strengths"]


def test_a_stage_without_a_known_end_prints_what_is_done(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(StopRequest(), clock=clock)
    clock.now += 61
    console.progress("predict", 1200, 0)
    assert lines(capsys) == ["predict: 1,200 images"]


def test_quiet_prints_no_progress(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(StopRequest(), quiet=True, clock=clock)
    clock.now += 600
    console.progress("features", 1, 2)
    assert lines(capsys) == []


def test_the_log_of_the_run_has_the_line_too(clock: Clock, tmp_path: Path) -> None:
    console = Console(StopRequest(), clock=clock)
    console.attach_log(tmp_path / "log.txt")
    clock.now += 60
    console.progress("features", 1, 2)
    assert (tmp_path / "log.txt").read_text() == "features: 1 of 2 images\n"
