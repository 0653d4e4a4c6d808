"""Reporters: one set of methods, which all of them share."""

from __future__ import annotations

import inspect

import pytest

from tests.listener import Listener
from transfercli.cli.ui.console import Console, LiveConsole
from transfercli.errors import Interrupted
from transfercli.reporting import Reporter


@pytest.mark.parametrize("kind", [Listener, Console, LiveConsole])
def test_a_reporter_takes_the_same_arguments_as_its_base(kind: type[Reporter]) -> None:
    methods = {name: method for name, method in vars(Reporter).items() if inspect.isfunction(method)}
    assert {"info", "debug", "warning", "progress", "epoch"} <= set(methods)
    for name, method in methods.items():
        own = inspect.signature(getattr(kind, name)).parameters.values()
        assert [(each.name, each.default) for each in own] == [
            (each.name, each.default) for each in inspect.signature(method).parameters.values()
        ]


def test_the_base_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter()
    for report in (reporter.info, reporter.debug, reporter.warning):
        report("text")
    reporter.progress("epoch 1", 1, 2)
    reporter.epoch({"epoch": 1}, 2)
    assert capsys.readouterr() == ("", "")


def test_a_listener_records_everything_and_stops_where_it_is_asked_to() -> None:
    listener = Listener(stop_at="predict")
    listener.info("a")
    listener.warning("b")
    listener.debug("c")
    listener.epoch({"epoch": 1}, 1)
    listener.progress("ingest", 1, 2, "files")
    with pytest.raises(Interrupted):
        listener.progress("predict", 1, 2)
    assert (listener.infos, listener.warnings, listener.debugs, listener.messages) == (["a"], ["b"], ["c"], list("abc"))
    assert listener.steps == [("ingest", 1, 2, "files"), ("predict", 1, 2, "images")]
    assert listener.epochs == [{"epoch": 1}]
    with pytest.raises(KeyError):
        Listener(lambda step: step[1] == 2, KeyError()).progress("ingest", 2, 2)
