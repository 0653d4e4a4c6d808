"""Entry point of the program, with all commands."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer
from typer.core import TyperArgument

import transfercli
from transfercli.cli import completion
from transfercli.cli.commands import bases as bases_commands
from transfercli.cli.commands import cache as cache_commands
from transfercli.cli.commands import config as config_commands
from transfercli.cli.commands import data as data_commands
from transfercli.cli.commands import runs as runs_commands
from transfercli.cli.commands.evaluate import evaluate
from transfercli.cli.commands.export import export
from transfercli.cli.commands.predict import predict
from transfercli.cli.commands.retrain import promote, retrain
from transfercli.cli.commands.sample import sample
from transfercli.cli.commands.train import finetune, pretrain
from transfercli.cli.usage import print_usage_error

app = typer.Typer(
    name="transfercli",
    help="Fine-tune image classifiers by transfer learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},  # inherited by all commands
)

# Every argument has a name and a help text; Typer would add the Python type, as in `RUN <str>`.
TyperArgument.display_type_rich = lambda *_, **__: None  # type: ignore[method-assign]


def _print_version(requested: bool) -> None:
    if requested:
        print(transfercli.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


app.command()(sample)
app.add_typer(config_commands.app, name="config")
app.add_typer(bases_commands.app, name="bases")
app.add_typer(data_commands.app, name="data")
app.add_typer(cache_commands.app, name="cache")
app.command()(pretrain)
app.command()(finetune)
app.command()(evaluate)
app.command()(predict)
app.command()(export)
app.add_typer(runs_commands.app, name="runs")
app.command()(retrain)
app.command()(promote)


def main() -> None:
    """Run the program with `sys.argv`; always raise `SystemExit`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    _open_standard_files()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 must not fail on a class name
    try:
        with completion.words_with_at():
            code = app(prog_name="transfercli", standalone_mode=False)
        sys.exit(code)
    except Exception as error:
        if not hasattr(error, "format_message"):  # Typer's usage errors have it; their class is not public
            raise
        sys.exit(print_usage_error(error, typer.main.get_command(app)))


def _open_standard_files() -> None:
    """Open stdin, stdout and stderr on the null device if a shell closed them (`>&-`).

    Otherwise the next file that is opened would get the descriptor of a standard file, and be read as stdin.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # child processes expect all three, too
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - open until the program ends
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
