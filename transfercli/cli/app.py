"""Entry point of the program, with all commands."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperArgument

import transfercli
from transfercli.cli import completion
from transfercli.cli.commands import bases as bases_commands
from transfercli.cli.commands import cache as cache_commands
from transfercli.cli.commands import config as config_commands
from transfercli.cli.commands import data as data_commands
from transfercli.cli.commands import runs as runs_commands
from transfercli.cli.commands import weights as weights_commands
from transfercli.cli.commands.embed import embed
from transfercli.cli.commands.evaluate import evaluate
from transfercli.cli.commands.export import export
from transfercli.cli.commands.merge import merge
from transfercli.cli.commands.monitor import monitor
from transfercli.cli.commands.predict import predict
from transfercli.cli.commands.recommend import recommend
from transfercli.cli.commands.retrain import promote, retrain
from transfercli.cli.commands.sample import sample
from transfercli.cli.commands.serve import serve
from transfercli.cli.commands.similar import similar
from transfercli.cli.commands.sweep import sweep
from transfercli.cli.commands.train import finetune, pretrain
from transfercli.cli.commands.ui import ui
from transfercli.cli.environment import prepare_environment, use_utf8
from transfercli.cli.runner import message_of
from transfercli.cli.streams import prepare_standard_files
from transfercli.cli.usage import print_usage_error
from transfercli.errors import TransferError, exit_code

app = typer.Typer(
    name="transfercli",
    help="Fine-tune image classifiers by transfer learning.",
    epilog="For GPUs and several hosts set KERAS_BACKEND=jax: docs/guides/accelerators.md in the repository.",
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
app.add_typer(weights_commands.app, name="weights")
app.add_typer(data_commands.app, name="data")
app.add_typer(cache_commands.app, name="cache")
app.command()(recommend)
app.command()(pretrain)
app.command()(finetune)
app.command()(sweep)
app.command()(merge)
app.command()(evaluate)
app.command()(predict)
app.command()(monitor)
app.command()(export)
app.command()(embed)
app.command()(similar)
app.add_typer(runs_commands.app, name="runs")
app.command()(retrain)
app.command()(promote)
app.command()(serve)
app.command()(ui)


def main() -> None:
    """Run the program with `sys.argv`; always raise `SystemExit`."""
    use_utf8()
    prepare_standard_files()
    prepare_environment()
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a help text is gone
        code = 0
    except TransferError as error:  # a help text cannot be written
        print(message_of(error), file=sys.stderr)
        code = exit_code(error)
    sys.exit(code)


def _run() -> Any:
    """Run a command and return the exit code. A command that does work raises `SystemExit` itself if it fails."""
    try:
        with completion.words_with_at():
            return app(prog_name="transfercli", standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):  # Typer's usage errors have it; their class is not public
            raise
        return print_usage_error(error, typer.main.get_command(app))
