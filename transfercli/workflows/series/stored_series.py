"""Stored series: its file `folds.json` or `seeds.json`, and its runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder, series_folder
from transfercli.runs.listing import is_run_folder, present_status
from transfercli.runs.lookup import is_label
from transfercli.runs.untrusted import check_run_folder, is_sibling_name
from transfercli.workflows.series.members import Kind, Series
from transfercli.workflows.stored_run import StoredRun


@dataclass(frozen=True)
class StoredSeries:
    """A series in its folder, `runs/EXPERIMENT/KIND/ID`.

    Attributes:
        facts: {"fold", "of"} or {"seed"} of each run, in order.
        command: goes on with it; without absolute paths.
    """

    kind: Kind
    folder: Path
    runs: tuple[RunFolder, ...]
    facts: tuple[dict[str, int], ...]
    command: str

    @property
    def name(self) -> str:
        """EXPERIMENT/ID."""
        return f"{self.folder.parent.parent.name}/{self.folder.name}"

    def completed_runs(self, reporter: Reporter) -> list[StoredRun]:
        """Return all runs. Raises `ArtefactError`, with the command that goes on, if one is not complete."""
        missing = [run for run in self.runs if not is_run_folder(run.path) or present_status(run) != "completed"]
        if missing:
            raise ArtefactError(
                f"{len(self.runs) - len(missing)} of {len(self.runs)} {self.kind} of {self.name} are complete;"
                f" not {', '.join(run.run_id for run in missing)}",
                f"go on with: {self.command}" if self.command else None,
            )
        for run in self.runs:
            check_run_folder(run.path)
        return [StoredRun(run, reporter) for run in self.runs]


def find_series(text: str, runs: Path) -> StoredSeries | None:
    """Return the series that a user's EXPERIMENT/ID or path names, None if it names none; a run has precedence."""
    given = text.rstrip("/")
    experiment, _, series_id = given.partition("/")
    labelled = is_label(given)
    if is_run_folder(Path(given)) or (labelled and is_run_folder(runs / given)):
        return None
    for kind in get_args(Kind):
        folders = [series_folder(runs / experiment, kind, series_id)] if labelled else []
        for folder in (*folders, Path(given)):
            if folder.parent.name == kind and (folder / f"{kind}.json").is_file():
                return read_series(kind, folder)
    return None


def read_series(kind: Kind, folder: Path) -> StoredSeries:
    """Return the series in a folder. Raises `ArtefactError` if its file is damaged."""
    path = folder / f"{kind}.json"
    content = read_json(path)
    rows = content.get("runs") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and _is_row(row) for row in rows):
        raise ArtefactError(f"{path} is damaged: it lists no runs", "train the series again, under the same --run-id")
    facts = tuple({key: row[key] for key in ("fold", "of", "seed") if key in row} for row in rows)
    experiment = folder.parent.parent
    runs = tuple(RunFolder(experiment / row["run_id"]) for row in rows)
    return StoredSeries(kind, folder, runs, facts, str(content.get("command", "")))


def _is_row(row: dict[str, Any]) -> bool:
    return isinstance(row.get("run_id"), str) and is_sibling_name(row["run_id"])


def write_series(folder: Path, series: Series, config_sha256: str, results: dict[str, Any]) -> None:
    """Write the file of a series atomically: its runs and the command that goes on, and its results so far.

    results: as `SeriesResult.as_stored`, or {"status": "running"}.
    """
    found = results.get("runs") or [{} for _ in series.members]
    rows = [
        {"run_id": series.run_id(member), **member.facts, **row}
        for member, row in zip(series.members, found, strict=True)
    ]
    facts = {"kind": series.kind, "id": series.series_id, "command": series.command, "config_sha256": config_sha256}
    atomic.make_folder(folder)
    atomic.write_json(folder / f"{series.kind}.json", facts | results | {"runs": rows})
