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

LONGEST = 10_000  # generations; a chain that goes on is a circle


def ancestors(run: RunFolder, events: Events) -> Iterator[RunFolder]:
    """The parent of a run, its parent, and so on; one that is gone ends the line, with a warning."""
    for _ in range(LONGEST):
        parent = read_record(run).get("parent")
        if parent is None:
            return
        try:
            source = find_source(read_run_config(run), _runs(run), str(parent)).run
        except ArtefactError:
            source = None
        if source is None:
            events.warn(f"{parent}, which {run.label} was trained from, is gone: what it learnt from is not known")
            return
        yield (run := source)


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
