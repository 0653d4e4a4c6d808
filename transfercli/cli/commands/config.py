"""`transfercli config init | validate | show | schema`: everything about a config but training with it."""

from __future__ import annotations

import json as jsons
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from transfercli.cli import completion
from transfercli.cli.options import ConfigFile, Json, Overrides, Quiet, Verbose
from transfercli.cli.runner import run_command
from transfercli.cli.ui.tables import print_table
from transfercli.errors import DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.text import did_you_mean, printable

if TYPE_CHECKING:
    from transfercli.config.starter import Survey

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Write, check and show configs; nothing is trained."
)

Files = Annotated[
    list[Path], typer.Argument(metavar="CONFIG...", help="YAML files, one experiment each", show_default=False)
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="B",
        help="a base by name; without it one is chosen",
        autocompletion=completion.table_names("base"),
    ),
]
Data = Annotated[
    str | None,
    typer.Option("--data", metavar="DATA", help="your images, as data.train takes them: a folder, a table, keras:NAME"),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="a new file; without it to stdout")]
ExampleName = Annotated[
    str | None,
    typer.Option(
        "--example", metavar="NAME", help="a shipped example instead", autocompletion=completion.example_names
    ),
]
ListExamples = Annotated[bool, typer.Option("--list-examples", help="list the shipped examples, and write nothing")]
SchemaFile = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="write it there; without it to stdout")
]
For = Annotated[Literal["finetune", "pretrain"], typer.Option("--for", help="the command whose defaults are filled in")]


@app.command()
def init(
    base: Base = None,
    data: Data = None,
    output: Output = None,
    example: ExampleName = None,
    list_examples: ListExamples = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a commented starter config for the data it is shown."""

    def work(console: Any) -> dict[str, Any]:
        if (list_examples or example is not None) and (base is not None or data is not None):
            raise UsageError(
                "--example and --list-examples cannot be combined with --base and --data",
                "change the values in the file that --example wrote, or override them with --set",
            )
        if list_examples:
            return listed_examples()
        return init_config(base, data, output) if example is None else init_example(example, output)

    run_command(work, _show_examples if list_examples else _show_init, as_json=json, quiet=quiet, verbose=verbose)


@app.command()
def validate(configs: Files, json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Check configs without training.

    Every error of every file is reported at once.
    """

    def work(console: Any) -> dict[str, Any]:
        return validate_configs(configs, console)

    run_command(work, _show_validate, as_json=json, quiet=quiet, verbose=verbose)


@app.command()
def show(
    config: ConfigFile,
    overrides: Overrides = None,
    command: For = "finetune",
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print the resolved config, defaults included."""
    # A person gets YAML, a program the values: the object printed is the one of the two that is asked for.
    texts: list[str] = []

    def work(console: Any) -> dict[str, Any]:
        from transfercli.config.loader import dump, load, resolve
        from transfercli.data.sources.listing import splits_inside

        loaded = load(config, overrides or ())
        resolved = resolve(loaded.config, command)
        with suppress(DataError, OSError):  # the data need not be here to show a config
            for side in splits_inside(resolved.data):
                console.info(f"data.{side}: the fraction is not used, {resolved.data.train} has {side} images itself")
        texts.append(dump(resolved))
        return resolved.model_dump(mode="json")

    run_command(work, lambda _: print(texts[0], end=""), as_json=json, quiet=quiet, verbose=verbose)


@app.command()
def schema(output: SchemaFile = None, json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Print the JSON Schema of a config (draft 2020-12), for editors."""

    def work(console: Any) -> dict[str, Any]:
        from transfercli.config.json_schema import json_schema

        return json_schema() if output is None else write_schema(output)

    run_command(work, _show_schema if output is None else _show_init, as_json=json, quiet=quiet, verbose=verbose)


def init_config(base: str | None, data: str | None, output: Path | None) -> dict[str, Any]:
    """`{"path", "config"}`: the starter config for `data`, written to `output` where one is given.

    Raises UsageError where `output` exists or `base` is unknown, DataError where `data` cannot be used.
    """
    from transfercli.cli.commands.survey import survey
    from transfercli.config import registries
    from transfercli.config.starter import UNKNOWN, starter
    from transfercli.data.sources.keras_datasets import dataset_of, is_keras

    names = registries.names("base")
    if base is not None and base not in names:
        hint = f"{did_you_mean(base, names, written=str)} allowed: {', '.join(names)}".lstrip()
        raise UsageError(f"--base {base!r} is not a known base", hint)
    _check_new(output)
    if data and is_keras(data):
        dataset_of(data)
    found = survey(data, output.parent if output else Path()) if data else UNKNOWN
    _check_enough(found)
    return _write_config(starter(found, base, str(output) if output else None), output)


def init_example(name: str, output: Path | None) -> dict[str, Any]:
    """Return `{"path", "config"}`: a shipped example, written to `output` if it is given.

    Raises `UsageError` if `output` exists or `name` is unknown.
    """
    from transfercli.config.examples import example

    _check_new(output)
    return _write_config(example(name).text_for(output), output)


def listed_examples() -> dict[str, Any]:
    """Return `{"examples": [{"name", "command", "description"}]}`."""
    from transfercli.config.examples import examples

    return {
        "examples": [
            {"name": entry.name, "command": entry.command, "description": entry.description} for entry in examples()
        ]
    }


def write_schema(output: Path) -> dict[str, Any]:
    """Write the JSON Schema to a new file, or over an earlier schema of this program; returns `{"path"}`.

    Raises `UsageError` if another file is there.
    """
    from transfercli.config.editor import is_schema
    from transfercli.config.json_schema import json_schema

    if not is_schema(output):
        _check_new(output)
    _write(output, jsons.dumps(json_schema(), indent=2) + "\n")
    return {"path": str(output)}


def _check_new(output: Path | None) -> None:
    if output is not None and output.exists():
        raise UsageError(
            f"{output} exists already and is left as it is", "name another file with -o, or remove that one"
        )


def _write_config(text: str, output: Path | None) -> dict[str, Any]:
    from transfercli.config.editor import editor_line

    text = editor_line(output.parent if output else Path()) + text
    if output is not None:
        _write(output, text)
    return {"path": str(output) if output else None, "config": text}


def _write(output: Path, text: str) -> None:
    from transfercli.io.atomic import write_errors, write_text

    with write_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, text)


def _check_enough(found: Survey) -> None:
    """Training needs two images of a class, and one for each side that is still to be carved."""
    least = max(2, 1 + len({"validation", "test"} - {*found.splits}))
    few = [f"{label!r} has {count}" for label, count in found.counts.items() if count < least]
    if few:
        raise DataError(
            f"--data {found.data!r}: class {', '.join(few[:5])} of the at least {least} images that training needs",
            "add images, or take the class out",
        )


def _show_init(result: dict[str, Any]) -> None:
    print(result["config"] if result["path"] is None else f"wrote {result['path']}\n", end="")


def _show_examples(result: dict[str, Any]) -> None:
    print_table(("name", "description"), [(entry["name"], entry["description"]) for entry in result["examples"]])


def _show_schema(result: dict[str, Any]) -> None:
    print(jsons.dumps(result, indent=2))


def validate_configs(paths: list[Path], reporter: Reporter) -> dict[str, Any]:
    """`{"configs": [{"path", "ok"}]}`; raises ConfigError with every problem of every file, and tells the good ones."""
    from transfercli.config.loader import config_error, problems

    found = {path: problems(path) for path in paths}
    if any(found.values()):
        for path in (path for path, wrong in found.items() if not wrong):
            reporter.info(f"{path}: ok")
        raise config_error([problem for wrong in found.values() for problem in wrong])
    return {"configs": [{"path": str(path), "ok": True} for path in paths]}


def _show_validate(result: dict[str, Any]) -> None:
    for entry in result["configs"]:
        print(printable(f"{entry['path']}: ok"))
