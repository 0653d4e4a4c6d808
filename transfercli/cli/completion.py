"""Candidates for shell completion of options and arguments.

The shell starts the program at every press of the key, so candidates come from folder names and from the tables of the
config, without an import of Keras. Paths are completed by the shell itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import typer

from transfercli.runs.folder import DEFAULT_RUNS


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
    """Return EXPERIMENT and EXPERIMENT@champion, or, after a slash, EXPERIMENT/RUN_ID."""
    labels: list[str] = []
    for experiment, run_ids in _runs_of_experiments(ctx).items():
        if "/" in incomplete:
            labels += [f"{experiment}/{run_id}" for run_id in run_ids]
        else:
            labels.append(experiment)
            if (_runs_folder(ctx) / experiment / "champion").is_symlink():
                labels.append(f"{experiment}@champion")
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
