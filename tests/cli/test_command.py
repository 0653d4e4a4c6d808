"""The decorators that make a command of a function, and choices that come from a table."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import pytest
import typer
from typer.testing import CliRunner

from transfercli.cli.command import reports, streams
from transfercli.cli.options import Json
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.workflows.result import ExternalFormat

Name = Annotated[str, typer.Argument(metavar="NAME")]
Times = Annotated[int, typer.Option("--times", min=1)]


@dataclass(frozen=True)
class Greeting:
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"text": self.text}


class Schema(Greeting, ExternalFormat):
    """A result in a format of its own."""


def _show(result: Greeting) -> None:
    typer.echo(result.text)


def _write(result: Greeting, out: TextIO) -> None:
    out.write(f"{result.text}\n")


@reports(_show)
def greet(reporter: Reporter, name: Name, times: Times = 1) -> Greeting:
    """Greet somebody.

    Example: greet Ann
    """
    typer.echo("a library prints")
    reporter.info("working")
    if name == "nobody":
        error = DataError("there is nobody", "name somebody")
        error.result = Greeting("nobody greeted")  # type: ignore[attr-defined]
        raise error
    if name == "error":
        raise DataError("it broke")
    return Greeting("hello " + " ".join([name] * times))


@reports(_show)
def schema(reporter: Reporter) -> Schema:
    return Schema("as it is")


@streams(_write)
def lines(reporter: Reporter, name: Name, json: Json = False) -> Greeting:
    return Greeting(f"{name} {json}")


app = typer.Typer(rich_markup_mode=None)
for function in (greet, schema, lines):
    app.command()(function)


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.stdout, done.stderr


def test_a_person_gets_what_show_prints_and_what_the_reporter_is_given_goes_to_stderr() -> None:
    assert run("greet", "Ann", "--times", "2") == (0, "hello Ann Ann\n", "a library prints\nworking\n")
    assert run("greet", "Ann", "--quiet") == (0, "hello Ann\n", "a library prints\n")


def test_json_is_one_object_that_begins_with_its_format() -> None:
    assert run("greet", "Ann", "--json", "--quiet")[1] == '{"format": 1, "text": "hello Ann"}\n'
    assert run("schema", "--json")[1] == '{"text": "as it is"}\n'


def test_an_error_has_its_exit_code_and_one_that_carries_a_result_prints_it() -> None:
    code, out, err = run("greet", "error", "--json")
    assert (code, json.loads(out)["format"], json.loads(out)["error"]["message"]) == (4, 1, "it broke")
    assert "error: it broke\n" in err
    assert run("greet", "error")[:2] == (4, "")
    assert run("greet", "nobody", "--json")[:2] == (4, '{"format": 1, "text": "nobody greeted"}\n')
    assert run("greet", "nobody")[:2] == (4, "nobody greeted\n")


def test_the_help_is_that_of_the_function_and_the_shared_options_come_last() -> None:
    told = run("greet", "--help")[1]
    assert "Greet somebody." in told
    assert "reporter" not in told
    options = [line.split()[0] for line in told.split("Options:")[1].splitlines() if line.strip().startswith("--")]
    assert options == ["--times", "--json", "--quiet", "--verbose", "--help"]


def test_a_function_that_declares_a_shared_option_gets_its_value() -> None:
    assert run("lines", "x")[:2] == (0, "x False\n")
    assert run("lines", "x", "--json")[:2] == (0, '{"format": 1, "text": "x True"}\n')


def test_a_wrong_argument_is_a_usage_error() -> None:
    assert run("greet", "Ann", "--times", "0")[0] == 2


PROBE = """
import sys
from pathlib import Path
from transfercli.cli.command import reports
from transfercli.reporting import Reporter

class Found:
    def as_json(self):
        return {"done": True}

@reports(lambda result: print("the result"))
def look(reporter: Reporter):
    reporter.progress("looking", 1, 2)
    reporter.progress("looking", 2, 2)
    return Found()

look(json="json" in sys.argv, quiet=False, verbose=False)
"""


@pytest.mark.parametrize("words, expected", [([], "the result\n"), (["json"], '{"format": 1, "done": true}\n')])
def test_the_result_is_on_stdout_also_after_a_live_display_on_stderr(words: list[str], expected: str) -> None:
    terminal, stderr = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[2])}
    environment.pop("NO_COLOR", None)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words], stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
    )
    os.close(stderr)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert "looking" in shown
    assert (done.returncode, done.stdout) == (0, expected)
