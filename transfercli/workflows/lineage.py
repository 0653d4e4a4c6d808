"""Where a run's weights come from: its parents, as their records name them, back to the first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from transfercli.data.manifest import read_manifest
from transfercli.runs.folder import RunFolder, is_label, read_record

LONGEST = 10_000  # generations; a chain that goes on is a circle


def ancestors(run: RunFolder) -> Iterator[RunFolder]:
    """The parent of a run, its parent, and so on, as far as they are still there, below the same runs folder."""
    runs = Path(os.path.realpath(run.path)).parent.parent
    for _ in range(LONGEST):
        parent = read_record(run).get("parent")
        if not isinstance(parent, str) or not is_label(parent):
            return
        run = RunFolder(runs / parent)
        if not run.record.is_file():
            return
        yield run


def learnt_from(*runs: RunFolder) -> frozenset[str]:
    """SHA-256 of every image that the runs, or one of their ancestors, trained on or chose an epoch by."""
    family = {run.label: run for one in runs for run in (one, *ancestors(one))}
    return frozenset(
        record.sha256
        for run in family.values()
        for record in read_manifest(run.dataset)
        if record.split in ("train", "validation")
    )
