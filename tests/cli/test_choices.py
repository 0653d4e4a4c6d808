"""Choices of options: fixed ones, and the rows of a table."""

from __future__ import annotations

from typing import Annotated, Any, get_args

import typer
from typer.testing import CliRunner

from transfercli.cli.choices import GateOn, Lines, Quantize, Workflow, one_of, table_option
from transfercli.cli.commands.predict import WRITERS
from transfercli.evaluation.gates import GATE_ON
from transfercli.export.formats.registry import FORMATS
from transfercli.workflows.train.job import Command


def chosen(option: Any, *words: str) -> tuple[int, str]:
    choosing = typer.Typer()

    def choose(names: Any = None) -> None:
        typer.echo(str(names))

    choose.__annotations__["names"] = Annotated[list[str] | None, option]
    choosing.command()(choose)
    done = CliRunner().invoke(choosing, words, env={"COLUMNS": "1000", "NO_COLOR": "1"})
    return done.exit_code, done.output


def test_a_choice_from_a_table_is_one_of_its_rows() -> None:
    option = table_option("--format", "format", help="a format")
    assert chosen(option, "--format", "keras", "--format", "onnx") == (0, "['keras', 'onnx']\n")
    code, told = chosen(option, "--format", "keras", "--format", "onyx")
    assert code == 2
    assert "'onyx' is not one of 'saved_model', 'keras', " in told
    assert "; did you mean 'onnx'?" in told


def test_a_choice_is_looked_up_only_when_a_value_is_given() -> None:
    looked: list[str] = []
    option = typer.Option("--format", callback=one_of(lambda: looked.append("looked") or ("a", "b")))
    assert chosen(option) == (0, "None\n")
    assert looked == []
    assert chosen(option, "--format", "a")[0] == 0
    assert looked
    assert "'xyz' is not one of 'a', 'b'." in chosen(option, "--format", "xyz")[1]


def test_fixed_choices_are_those_of_the_modules_that_use_them() -> None:
    assert get_args(GateOn) == GATE_ON
    assert set(get_args(Quantize)) == {kind for row in FORMATS.values() for kind in row.quantize}
    assert get_args(Lines) == tuple(WRITERS)
    assert set(get_args(Workflow)) == set(get_args(Command))
