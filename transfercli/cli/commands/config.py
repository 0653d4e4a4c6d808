"""`transfercli config init | validate | show | schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli.choices import Workflow, row_of
from transfercli.cli.command import reports
from transfercli.cli.options import ConfigFile, Overrides
from transfercli.reporting import Reporter
from transfercli.text import printable

if TYPE_CHECKING:
    from transfercli.workflows.config.check import ConfigSchema, ResolvedConfig, ValidConfigs
    from transfercli.workflows.config.init import StarterConfig

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Write, check and show configs; nothing is trained."
)

Files = Annotated[
    list[Path], typer.Argument(metavar="CONFIG...", help="YAML files, one experiment each", show_default=False)
]
Base = Annotated[
    str | None,
    typer.Option("--base", metavar="B", help="a base by name; else one that fits", callback=row_of("base")),
]
Data = Annotated[
    str | None,
    typer.Option("--data", metavar="DATA", help="your images, as in data.train: a folder, a table, keras:NAME"),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="a new file; else stdout")]
For = Annotated[Workflow, typer.Option("--for", help="the command whose defaults are filled in")]


def _show_init(result: StarterConfig) -> None:
    print(result.text if result.path is None else f"wrote {result.path}\n", end="")


def _show_validate(result: ValidConfigs) -> None:
    for path in result.paths:
        print(printable(f"{path}: ok"))


def _show_config(result: ResolvedConfig) -> None:
    print(result.as_yaml(), end="")


def _show_schema(result: ConfigSchema) -> None:
    print(json.dumps(result.content, indent=2))


@app.command()
@reports(_show_init)
def init(reporter: Reporter, base: Base = None, data: Data = None, output: Output = None) -> StarterConfig:
    """Write a commented starter config for your images.

    Example: transfercli config init --data data/flowers -o flowers.yaml
    """
    from transfercli.workflows.config.init import init_config

    return init_config(base, data, output)


@app.command()
@reports(_show_validate)
def validate(reporter: Reporter, configs: Files) -> ValidConfigs:
    """Check configs without training.

    All errors of all files are reported at once.

    Example: transfercli config validate flowers.yaml
    """
    from transfercli.workflows.config.check import validate_configs

    return validate_configs(configs, reporter)


@app.command()
@reports(_show_config)
def show(
    reporter: Reporter, config: ConfigFile, overrides: Overrides = None, command: For = "finetune"
) -> ResolvedConfig:
    """Print the resolved config, defaults included.

    Example: transfercli config show flowers.yaml --set training.epochs=5
    """
    from transfercli.workflows.config.check import show_config

    return show_config(config, overrides or (), command, reporter)


@app.command()
@reports(_show_schema, versioned=False)  # a JSON Schema has a keyword `format` of its own, whose value is text
def schema(reporter: Reporter) -> ConfigSchema:
    """Print the JSON Schema of configs, for editors.

    Example: transfercli config schema > transfercli.schema.json
    """
    from transfercli.workflows.config.check import config_schema

    return config_schema()
