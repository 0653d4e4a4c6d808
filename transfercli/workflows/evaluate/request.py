"""What an evaluation is asked for: the command line that asks for it again, and the folder its files go to."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from transfercli.runs.folder import RunFolder
from transfercli.runs.record import RunRecord
from transfercli.workflows.command_lines import run_words, spelled, told

NAME_LENGTH = 64  # of a folder's name in the name of its evaluation


@dataclass(frozen=True)
class EvaluateRequest:
    """run: as typed; data: other images; minimums: gates of the command line, which come before the config's.

    corrupt, tta: what is tried beside the plain evaluation, which it does not change.
    """

    run: str
    runs: Path
    split: str = "test"
    data: Path | None = None
    minimums: tuple[str, ...] = ()
    gate_on: str = "point"
    corrupt: bool = False
    tta: bool = False


def asked_again(run: RunFolder, request: EvaluateRequest) -> str:
    """The command line, without absolute paths."""
    words = [*run_words(run, request.runs), "--split", request.split]
    words += ["--data", told(request.data)] if request.data else []
    words += [word for gate in request.minimums for word in ("--min", gate)]
    words += ["--gate-on", request.gate_on] if request.gate_on != "point" else []
    words += [f"--{name}" for name in ("corrupt", "tta") if getattr(request, name)]
    return spelled("evaluate", *words)


def absolute_name(path: Path) -> str:
    """The name of a folder, also where it is given as `.` or `..`."""
    return Path(os.path.normpath(path.expanduser().absolute())).name


def evaluation_folder(run: RunFolder, request: EvaluateRequest) -> Path:
    """Where the files go. Other images never replace what the run's own images of the same split gave.

    `evaluation/SPLIT`; with `--data`, where the run has own images of that split, `evaluation/SPLIT-FOLDER`.
    """
    if request.data is None or request.split not in RunRecord.read(run).image_counts:
        return run.evaluation(request.split)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", absolute_name(request.data)).strip("-.")[:NAME_LENGTH] or "data"
    return run.evaluation(f"{request.split}-{name}")
