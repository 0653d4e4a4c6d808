"""Command lines that somebody can start again, told without the absolute paths of this machine."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from transfercli.redaction import HIDDEN
from transfercli.runs.folder import DEFAULT_RUNS, RunFolder


def spelled(command: str, *words: str) -> str:
    """`transfercli COMMAND WORD…`, quoted for a shell."""
    return shlex.join(["transfercli", command, *words])


def told(path: Path) -> str:
    """A path as it was given; of an absolute one only the last part: run.json and reports travel."""
    return f"{HIDDEN}{path.name}" if path.is_absolute() else str(path)


def runs_option(runs: Path) -> list[str]:
    return [] if runs == DEFAULT_RUNS else ["--runs", told(runs)]


def run_words(run: RunFolder, runs: Path) -> list[str]:
    """What names `run` on a command line: its label where `runs` holds it, else its path."""
    if os.path.realpath(runs / run.label) == os.path.realpath(run.path):
        return [run.label, *runs_option(runs)]
    return [told(run.path)]
