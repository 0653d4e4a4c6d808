"""Generator of `docs/reference/cli.md`: `python -m transfercli.cli.reference_docs [FILE]`; without FILE to stdout."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from transfercli.cli.app import app

WIDTH = 120
COMMON = ("--json", "--quiet", "--verbose", "--help")  # described once, at the top
TYPE = re.compile(r" <(str|path|list\[\w+\])>")  # type of an argument; its description is clearer

OPENING = """\
# The command line

This page is generated from the program (`python -m transfercli.cli.reference_docs`). `transfercli` and
`python -m transfercli` are the same program; `transfercli COMMAND --help` prints the same text for one command.

## Words used on this page

- **CONFIG** is a YAML file that describes one experiment. [config.md](config.md) lists its keys.
- **RUN** is the path of a run folder, or one of the following, looked up under the folder that `--runs` names:
  - `EXPERIMENT`: the run of the experiment that was completed last. If the champion is another run, a warning names it.
  - `EXPERIMENT/RUN_ID`: this run.
  - `EXPERIMENT@champion`: the run that `retrain` or `promote` made the champion. Name this one in services and jobs.
  - `EXPERIMENT@latest`: the same as `EXPERIMENT`, without that warning.

## Options of every command

- `--json`: print exactly one JSON object on stdout. [json.md](json.md) lists the keys.
- `--quiet`: print only warnings and errors on stderr.
- `--verbose`: print more detail on stderr.
- `-h`, `--help`: print the help text of the command.

`transfercli --version` prints the version. `--install-completion` sets up the completion of commands, options and runs
in the shell that is in use.

stdout carries the result only. Progress, warnings and errors go to stderr: a live display if stderr is a terminal, else
plain lines. No command prompts for input. [exit-codes.md](exit-codes.md) lists the exit codes.
"""


def reference() -> str:
    """Return the page as Markdown."""
    root: Any = typer.main.get_command(app)
    sections = [_section(command, context) for command, context in _commands(root, typer.Context(root, info_name=""))]
    return "\n".join([OPENING, *sections])


def _commands(group: Any, context: typer.Context) -> Iterator[tuple[Any, typer.Context]]:
    """Yield every command below `group`, but not the groups, with its context."""
    for name, command in group.commands.items():
        inner = typer.Context(command, info_name=f"{context.info_name} {name}".strip())
        if hasattr(command, "commands"):
            yield from _commands(command, inner)
        else:
            yield command, inner


def _section(command: Any, context: typer.Context) -> str:
    records = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    shown = [record for record in records if not record[0].endswith(COMMON)]
    usage = " ".join(["transfercli", str(context.info_name), *command.collect_usage_pieces(context)])
    lines = [f"## `transfercli {context.info_name}`", "", "```text", usage, "```", ""]
    for paragraph in (command.help or "").split("\n\n"):
        as_it_is = paragraph.startswith("\b")  # Click's mark of a paragraph that keeps its line breaks
        lines += ["```text", *paragraph.splitlines()[1:], "```", ""] if as_it_is else [*_wrapped(paragraph), ""]
    lines += [line for record in shown for line in _entry(*record)]
    return "\n".join(lines).rstrip() + "\n"


def _entry(name: str, text: str) -> list[str]:
    return _wrapped(f"- `{TYPE.sub('', name)}`: {' '.join(text.split())}", "  ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
    else:
        sys.stdout.write(reference())
