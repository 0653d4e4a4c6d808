"""Where a run's weights come from: its parents, as their records name them, back to the first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from transfercli.data.manifest import read_manifest
from transfercli.errors import ArtefactError
from transfercli.events import Events
from transfercli.runs.folder import RunFolder, read_record
from transfercli.workflows.model import find_source, read_run_config


def generations(run: RunFolder) -> Iterator[tuple[str, RunFolder | None]]:
    """The parent of a run, its parent, and so on, each by the name in its child's record.

    One that is gone is None and ends the line, as does one that was there before. Raises `ArtefactError` at a run whose
    record is damaged.
    """
    seen = {os.path.realpath(run.path)}
    while (name := read_record(run).get("parent")) is not None:
        parent = _parent(run, str(name))
        if parent is not None and os.path.realpath(parent.path) in seen:
            return
        yield str(name), parent
        if parent is None:
            return
        seen.add(os.path.realpath(parent.path))
        run = parent


def ancestors(run: RunFolder, events: Events) -> Iterator[RunFolder]:
    """All that `generations` finds; one that is gone is warned of."""
    child = run.label
    for name, parent in generations(run):
        if parent is None:
            events.warn(f"{name}, which {child} was trained from, is gone: what it learnt from is not known")
            return
        yield parent
        child = parent.label


def _parent(run: RunFolder, name: str) -> RunFolder | None:
    try:
        return find_source(read_run_config(run), _runs(run), name).run
    except ArtefactError:
        return None


def _runs(run: RunFolder) -> Path:
    return Path(os.path.realpath(run.path)).parent.parent


def learnt_from(*runs: RunFolder, events: Events) -> frozenset[str]:
    """SHA-256 of every image that the runs, or one of their ancestors, trained on or chose an epoch by."""
    family = {os.path.realpath(run.path): run for one in runs for run in (one, *ancestors(one, events))}
    return frozenset(
        record.sha256
        for run in family.values()
        for record in read_manifest(run.dataset)
        if record.split in ("train", "validation")
    )
