"""Requests of `evaluate`: the options, the command line that repeats the evaluation, and the folder of its files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from transfercli.errors import UsageError
from transfercli.runs.folder import RunFolder
from transfercli.runs.output_paths import check_output_folder
from transfercli.runs.record import RunRecord
from transfercli.shards import Shard
from transfercli.workflows.command_lines import command_line, run_arguments, shown_path

SPREADSHEET = "predictions-spreadsheet.csv"
NAME_LENGTH = 64  # of the name of other images in the name of their evaluation folder


@dataclass(frozen=True)
class EvaluateRequest:
    """Options of `evaluate`.

    run: as typed. data: a folder or table of other images, or None. minimums: gates of the command line, which override
    those of the config. corrupt, tta: additional passes, which do not change the plain evaluation. out: folder for the
    files, or None for the run. max_bad: largest fraction of unreadable images accepted, or None for the config's.
    spreadsheet: also write `SPREADSHEET`. shard: the part of the images to compute outputs of, without metrics; None:
    all. merged: the number of shards whose outputs are evaluated together, instead of computing outputs; None: none.
    """

    run: str
    runs: Path
    split: str = "test"
    data: Path | None = None
    minimums: tuple[str, ...] = ()
    gate_on: str = "point"
    corrupt: bool = False
    tta: bool = False
    out: Path | None = None
    max_bad: float | None = None
    spreadsheet: bool = False
    shard: Shard | None = None
    merged: int | None = None

    def check_shards(self) -> None:
        """Raise `UsageError` for options that decide or show something of all images, given for one shard."""
        if self.shard is None:
            return
        if self.merged is not None:
            raise UsageError("--shard computes one shard, and --merge-shards evaluates all", "give one of the two")
        given = {
            "--min": bool(self.minimums),
            "--gate-on": self.gate_on != "point",
            **{f"--{name}": bool(getattr(self, name)) for name in ("corrupt", "tta", "spreadsheet")},
        }
        if options := [option for option, is_given in given.items() if is_given]:
            raise UsageError(
                f"{', '.join(options)} need all images, and --shard {self.shard} has a part of them",
                f"give {'it' if len(options) == 1 else 'them'} to --merge-shards {self.shard.count}, after the shards",
            )


def evaluate_command(run: RunFolder, request: EvaluateRequest) -> str:
    """Return the command line that repeats an evaluation, without absolute paths."""
    arguments = [*run_arguments(run, request.runs), "--split", request.split]
    arguments += ["--data", shown_path(request.data)] if request.data else []
    arguments += [part for gate in request.minimums for part in ("--min", gate)]
    arguments += ["--gate-on", request.gate_on] if request.gate_on != "point" else []
    arguments += [f"--{name}" for name in ("corrupt", "tta", "spreadsheet") if getattr(request, name)]
    arguments += ["--max-bad", f"{request.max_bad:g}"] if request.max_bad is not None else []
    arguments += ["--out", shown_path(request.out)] if request.out else []
    return command_line("evaluate", *arguments)


def check_can_be_written(run: RunFolder, request: EvaluateRequest) -> None:
    """Raise `UsageError` before any work if the files of the evaluation cannot be written."""
    if request.out is not None:
        check_output_folder(request.out, "--out")
    elif not os.access(run.path, os.W_OK | os.X_OK):
        raise UsageError(f"the run {run.label} cannot be written to", "--out DIR writes the files to another folder")


def folder_name(path: Path) -> str:
    """Return the name of a folder, even if it is given as `.` or `..`."""
    return Path(os.path.normpath(path.expanduser().absolute())).name


def evaluation_folder(run: RunFolder, request: EvaluateRequest) -> Path:
    """Return the folder of an evaluation: that of `--out`, else `evaluation/SPLIT`.

    With `--data` it is `evaluation/SPLIT-NAME` if the run has images of that split itself, so that other images do not
    replace their results.
    """
    if request.out is not None:
        return request.out
    if request.data is None or request.split not in RunRecord.read(run).image_counts:
        return run.evaluation(request.split)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder_name(request.data)).strip("-.")[:NAME_LENGTH] or "data"
    return run.evaluation(f"{request.split}-{name}")


def shard_file(run: RunFolder, request: EvaluateRequest, shard: Shard) -> Path:
    """Return the file of the outputs of a shard, in the folder of the evaluation."""
    return evaluation_folder(run, request) / "shards" / f"{shard.number}-of-{shard.count}.safetensors"
