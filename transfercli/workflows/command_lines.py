"""Command lines for run.json, reports and hints, without the absolute paths of this machine."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from transfercli.io.addresses import as_given
from transfercli.redaction import HIDDEN
from transfercli.runs.folder import DEFAULT_RUNS, RunFolder


def command_line(command: str, *arguments: str) -> str:
    """Return `transfercli COMMAND ARGUMENT…`, quoted for a shell."""
    return shlex.join(["transfercli", command, *arguments])


def shown_path(path: Path) -> str:
    """Return a relative path as it is, and of an absolute path only the last part: run.json and reports are shared."""
    return f"{HIDDEN}{path.name}" if path.is_absolute() else as_given(path)


def runs_option(runs: Path) -> list[str]:
    return [] if runs == DEFAULT_RUNS else ["--runs", shown_path(runs)]


def run_arguments(run: RunFolder, runs: Path) -> list[str]:
    """Return the arguments that name `run`: its label and `--runs` if it is in the folder `runs`, else its path."""
    if os.path.realpath(runs / run.label) == os.path.realpath(run.path):
        return [run.label, *runs_option(runs)]
    return [shown_path(run.path)]
