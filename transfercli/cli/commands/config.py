"""Commands `transfercli config init`, `config validate`, `config show` and `config schema`."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.choices import Workflow
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_config_show, after_init, after_schema, after_validate
from transfercli.cli.options import RUNS, ConfigFile, Overrides, Runs
from transfercli.errors import UsageError
from transfercli.reporting import Reporter
from transfercli.text import printable

if TYPE_CHECKING:
    from transfercli.workflows.config.check import ConfigSchema, ResolvedConfig, SchemaFile, ValidConfigs
    from transfercli.workflows.config.init import ExampleList, StarterConfig

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Write, check and show configs; nothing is trained."
)

Files = Annotated[
    list[Path],
    typer.Argument(metavar="CONFIG", help="YAML files that describe one experiment each", show_default=False),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="B",
        help="name of the base, or a weight file whose names show it (FILE or hub:REPO);"
        " without it one is chosen, if possible with weights that are on this machine",
        autocompletion=completion.table_names("base"),
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="DATA", help="your images, as in data.train: a folder, a table, an address or keras:NAME"
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="write to a new file; without it to stdout")
]
SchemaOutput = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="write to this file; without it to stdout")
]
ExampleName = Annotated[
    str | None,
    typer.Option(
        "--example", metavar="NAME", help="write a shipped example instead", autocompletion=completion.example_names
    ),
]
ListExamples = Annotated[bool, typer.Option("--list-examples", help="list the shipped examples and write nothing")]
For = Annotated[Workflow, typer.Option("--for", help="the command whose defaults are used")]


def _show_init(result: StarterConfig | ExampleList) -> None:
    from transfercli.workflows.config.init import ExampleList

    if isinstance(result, ExampleList):
        for entry in result.examples:
            print(entry.name)
            print(fill(entry.description, get_terminal_size().columns - 1, initial_indent="  ", subsequent_indent="  "))
    else:
        print(result.text if result.path is None else f"wrote {result.path}\n", end="")


def _show_validate(result: ValidConfigs) -> None:
    for path in result.missing:
        print(printable(f"{path}: ok"))


def _show_config(result: ResolvedConfig) -> None:
    print(result.as_yaml(), end="")


def _show_schema(result: ConfigSchema | SchemaFile) -> None:
    from transfercli.workflows.config.check import SchemaFile

    print(f"wrote {result.path}" if isinstance(result, SchemaFile) else json.dumps(result.content, indent=2))


@app.command()
@reports(_show_init, after_init, prints_file=lambda result: getattr(result, "path", result) is None)
def init(
    reporter: Reporter,
    base: Base = None,
    data: Data = None,
    output: Output = None,
    example: ExampleName = None,
    list_examples: ListExamples = False,
) -> StarterConfig | ExampleList:
    """Write a commented starter config for your images.

    Example: transfercli config init --data data/flowers -o flowers.yaml
    """
    from transfercli.workflows.config import init as workflow

    if (list_examples or example is not None) and (base is not None or data is not None):
        raise UsageError(
            "--example and --list-examples cannot be combined with --base and --data",
            "change the values in the file that --example wrote, or override them with --set",
        )
    if list_examples:
        return workflow.list_examples()
    if example is not None:
        return workflow.init_example(example, output)
    return workflow.init_config(base, data, output, reporter)


@app.command()
@reports(_show_validate, after_validate)
def validate(reporter: Reporter, configs: Files, overrides: Overrides = None, runs: Runs = RUNS) -> ValidConfigs:
    """Check configs without training.

    All errors of all files are reported at once. Images, weights and runs that are not there are warnings.

    Example: transfercli config validate flowers.yaml
    """
    from transfercli.workflows.config.check import validate_configs

    return validate_configs(configs, overrides or (), runs, reporter)


@app.command()
@reports(_show_config, after_config_show, prints_file=lambda _: True)
def show(
    reporter: Reporter, config: ConfigFile, overrides: Overrides = None, command: For = "finetune"
) -> ResolvedConfig:
    """Print the resolved config, defaults included.

    Example: transfercli config show flowers.yaml --set training.epochs=5
    """
    from transfercli.workflows.config.check import show_config

    return show_config(config, overrides or (), command, reporter)


@app.command()
@reports(_show_schema, after_schema, prints_file=lambda result: not hasattr(result, "path"))
def schema(reporter: Reporter, output: SchemaOutput = None) -> ConfigSchema | SchemaFile:
    """Print the JSON Schema of configs, for editors.

    Example: transfercli config schema -o transfercli.schema.json
    """
    from transfercli.workflows.config.check import config_schema, write_schema

    return config_schema() if output is None else write_schema(output)
