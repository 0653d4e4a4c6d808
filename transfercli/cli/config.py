"""`transfercli config init | validate | show | schema`: everything about a config but training with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Write, check and show configs; nothing is trained.")

Json = Annotated[bool, typer.Option("--json", help="print exactly one JSON object")]
CONFIG = typer.Argument(help="a YAML file, one experiment", metavar="CONFIG")


def init_config(data: str | None, base: str | None, output: Path | None) -> dict[str, Any]:
    """The starter config for `data`, written to `output` where one is given.

    Raises UsageError where `output` exists or `base` is unknown, DataError where `data` cannot be used.
    """
    from transfercli.cli.survey import survey
    from transfercli.config import choices
    from transfercli.config.starter import UNKNOWN, starter
    from transfercli.errors import UsageError
    from transfercli.runs.atomic import write_text

    names = choices.names("base")
    if base is not None and base not in names:
        near = choices.nearest(base, names)
        hint = f"did you mean {near}?" if near else f"allowed: {', '.join(names)}"
        raise UsageError(f"--base {base!r} is not a known base", hint)
    if output is not None and output.exists():
        raise UsageError(f"{output} exists and is left as it is", "name another file with -o, or remove this one")
    folder = output.parent if output else Path()
    text = starter(survey(data, folder) if data else UNKNOWN, base)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, text)
    return {"path": str(output) if output else None, "config": text}


def validate_configs(paths: list[Path]) -> dict[str, Any]:
    """`{"configs": [{"path", "ok"}]}`; raises ConfigError with every problem of every file."""
    from transfercli.config.loader import config_error, problems

    found = [problem for path in paths for problem in problems(path)]
    if found:
        raise config_error(found)
    return {"configs": [{"path": str(path), "ok": True} for path in paths]}
