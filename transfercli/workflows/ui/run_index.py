"""Index of all runs: their rows, kept in memory while their files stay as they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock

from transfercli.errors import TransferError
from transfercli.runs.folder import RunFolder
from transfercli.workflows.runs.rows import RunRow, links_of, row_of
from transfercli.workflows.runs.run_fields import ListedRun
from transfercli.workflows.ui.stamps import Stamp, stamp_of

# Errors that reading damaged files may raise, whatever was done to them.
DAMAGE = (TransferError, OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
MOST_WARM = 2_000  # configs that are read before somebody asks, at some 10 ms each
MOST_RUNS = 50_000  # in the memory: about 10 kB each
UNSETTLED = frozenset({"running", "interrupted"})  # states that depend on locks, which no time of a file shows

Signature = tuple[Stamp | None, ...]


class IndexedRun(ListedRun):
    """A run of the index. Metrics are kept once they are computed, the answers that they are computed from are not."""

    def __init__(self, folder: RunFolder, row: RunRow) -> None:
        super().__init__(folder, row)
        self._metrics: dict[str, float | None] = {}

    @property
    def label(self) -> str:
        """EXPERIMENT/RUN_ID by the names of the folders."""
        return label_of(self.folder)

    def metric(self, name: str) -> float | None:
        if name not in self._metrics:
            try:
                self._metrics[name] = super().metric(name)
            except DAMAGE:
                self._metrics[name] = None
            self.__dict__.pop("_answers", None)
        return self._metrics[name]


def label_of(run: RunFolder) -> str:
    """Return EXPERIMENT/RUN_ID by the names of the folders, which an address of the site has, too."""
    return f"{run.path.parent.name}/{run.path.name}"


@dataclass(frozen=True)
class Listing:
    """All runs at one time: by experiment, then by folder name. problems: experiments that cannot be read, and why."""

    runs: tuple[IndexedRun, ...]
    problems: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_experiment(self) -> dict[str, list[IndexedRun]]:
        found: dict[str, list[IndexedRun]] = {}
        for run in self.runs:
            found.setdefault(run.folder.path.parent.name, []).append(run)
        return found

    @cached_property
    def newest(self) -> list[IndexedRun]:
        """All runs, the newest first."""
        return sorted(self.runs, key=lambda run: str(run.row.created or ""), reverse=True)

    @cached_property
    def by_label(self) -> dict[str, IndexedRun]:
        return {run.label: run for run in self.runs}


class RunIndex:
    """Rows of the runs of a folder. A row is read again if one of its files has changed."""

    def __init__(self, runs: Path) -> None:
        self._runs, self._lock = runs, Lock()
        self._kept: dict[Path, tuple[Signature, IndexedRun]] = {}
        self._links: dict[Path, tuple[object, dict[str, str]]] = {}

    def listing(self) -> Listing:
        """Return all runs as they are now. Safe to call from several threads."""
        with self._lock:
            found: list[IndexedRun] = []
            problems: dict[str, str] = {}
            kept: dict[Path, tuple[Signature, IndexedRun]] = {}
            for experiment in _folders(self._runs, links=True):
                try:
                    found += self._of_experiment(experiment, kept)
                except DAMAGE as error:
                    problems[experiment.name] = f"{type(error).__name__}: {error}"
            self._kept = dict(list(kept.items())[-MOST_RUNS:])
            return Listing(tuple(found), problems)

    def warm(self, is_stopped: Callable[[], bool]) -> None:
        """Read all runs, then the configs of the newest ones, so that the first page need not wait for them.

        is_stopped: returns True if nobody needs that any more.
        """
        for run in self.listing().newest[:MOST_WARM]:
            if is_stopped():
                return
            with suppress(*DAMAGE):
                _ = run.config  # kept by the run

    def _of_experiment(self, experiment: Path, kept: dict[Path, tuple[Signature, IndexedRun]]) -> list[IndexedRun]:
        signed = [(folder, _signature(folder)) for folder in _folders(experiment) if folder.name[0] != "."]
        signed = [(folder, signature) for folder, signature in signed if signature[0] is not None]
        links = self._links_of(experiment, [(folder.name, signature[0]) for folder, signature in signed])
        found = []
        for folder, signature in signed:
            run = self._run(folder, signature, links)
            kept[folder] = (signature, run)
            found.append(run)
        return found

    def _links_of(self, experiment: Path, records: Sequence[object]) -> dict[str, str]:
        """Return the names that mean a run, read again if a record or a link has changed."""
        stamps = (tuple(records), *(stamp_of(experiment / name) for name in ("latest", "champion")))
        before = self._links.get(experiment)
        if before is None or before[0] != stamps:
            try:
                links = links_of(experiment)
            except DAMAGE:
                links = {}
            before = self._links[experiment] = (stamps, links)
        return before[1]

    def _run(self, folder: Path, signature: Signature, links: Mapping[str, str]) -> IndexedRun:
        names = tuple(name for name, run_id in links.items() if run_id == folder.name)
        before = self._kept.get(folder)
        same = before is not None and before[0] == signature
        if before and same and before[1].row.links == names and before[1].row.status not in UNSETTLED:
            return before[1]
        run = RunFolder(folder)
        try:
            row = row_of(run, links)
        except DAMAGE:
            row = RunRow(folder, folder.parent.name, folder.name, "damaged", names)
        if before and same and before[1].row == row:
            return before[1]  # with what was computed of it
        return IndexedRun(run, row)


def _folders(folder: Path, *, links: bool = False) -> list[Path]:
    """Return the folders in a folder, by name. links: True to follow links; those among runs are no further runs."""
    found = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=links):
                    found.append(entry.name)
    return [folder / name for name in sorted(found)]


def _signature(folder: Path) -> Signature:
    """Return the stamps of the files that a row is made from; that of the record is None if there is none."""
    names = ("run.json", "config.yaml", "evaluation/test/metrics.json")
    return tuple(stamp_of(folder / name) for name in names)
