"""Candidates for shell completion of options and arguments.

The shell starts the program at every press of the key, so candidates come from folder names and from the tables of the
config, without an import of Keras. Paths are completed by the shell itself.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

import typer

from transfercli.runs.folder import DEFAULT_RUNS

BASH = ("_TRANSFERCLI_COMPLETE", "complete_bash")


@contextmanager
def words_with_at() -> Iterator[None]:
    """Make bash complete EXPERIMENT@champion, if bash asks for completions.

    Bash splits a word at `@` (COMP_WORDBREAKS) and replaces the part from there on. So the parts are joined for the
    block, and of each candidate that it prints only the part from `@` on is given to bash.
    """
    line = os.environ.get("COMP_WORDS", "")
    separator = "\n" if "\n" in line else " "  # the script that bash runs joins words by line ends
    words = line.split(separator)
    if os.environ.get(BASH[0]) != BASH[1] or not any(word.startswith("@") for word in words):
        yield
        return
    typed = int(os.environ.get("COMP_CWORD", "0"))
    joined: list[str] = []
    current = 0
    for index, word in enumerate(words):
        if joined and (word.startswith("@") or joined[-1].endswith("@")):
            joined[-1] += word
        else:
            joined.append(word)
        if index == typed:
            current = len(joined) - 1
    os.environ |= {"COMP_WORDS": separator.join(joined), "COMP_CWORD": str(current)}
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        start = joined[current].find("@")
        for candidate in printed.getvalue().splitlines():
            print(candidate[max(start, 0) :])


def sample_names(incomplete: str) -> list[str]:
    """Return the names of the embedded samples."""
    from transfercli.data.samples.writing import SAMPLES

    return [name for name in SAMPLES if name.startswith(incomplete)]


def table_names(table: str) -> Callable[[str], list[str]]:
    """Return a completion of the row names of a table of `config/registries.py`."""

    def complete(incomplete: str) -> list[str]:
        from transfercli.config.registries import names

        return [name for name in names(table) if name.startswith(incomplete)]

    return complete


def example_names(incomplete: str) -> list[str]:
    """Return the names of the shipped example configs."""
    from transfercli.config.examples import example_names as names

    return [name for name in names() if name.startswith(incomplete)]


def experiments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the experiments under `--runs` that have a run."""
    return [name for name in _runs_of_experiments(ctx) if name.startswith(incomplete)]


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return EXPERIMENT, EXPERIMENT@latest and EXPERIMENT@champion, or, after a slash, EXPERIMENT/RUN_ID."""
    labels: list[str] = []
    for experiment, run_ids in _runs_of_experiments(ctx).items():
        if "/" in incomplete:
            labels += [f"{experiment}/{run_id}" for run_id in run_ids]
        else:
            labels.append(experiment)
            for name in ("champion", "latest"):
                if (_runs_folder(ctx) / experiment / name).is_symlink():
                    labels.append(f"{experiment}@{name}")
    return [label for label in labels if label.startswith(incomplete)]


def _runs_folder(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("runs") or DEFAULT_RUNS)


def _runs_of_experiments(ctx: typer.Context) -> dict[str, list[str]]:
    """Return the run ids of every experiment; {} if the folder cannot be read."""
    from transfercli.runs.listing import all_runs

    run_ids: dict[str, list[str]] = {}
    with suppress(OSError):
        for run in all_runs(_runs_folder(ctx)):
            run_ids.setdefault(run.path.parent.name, []).append(run.path.name)
    return run_ids
