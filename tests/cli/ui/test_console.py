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
