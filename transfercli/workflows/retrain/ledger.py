"""Earlier comparisons on the present test images, as the ledger of the experiment and its log know them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.data.manifest import read_pixels
from transfercli.errors import ArtefactError
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder
from transfercli.runs.test_ledger import LedgerImage, TestLedger, read_test_ledger
from transfercli.text import counted
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Record


def promoted_runs(log: Sequence[Decision]) -> frozenset[str]:
    """Return the ids of the challengers that a comparison made champion."""
    return frozenset(entry.challenger for entry in log if entry.decision == "promoted" and entry.challenger)


def ledger_of(experiment: Path, log: Sequence[Decision], images: Sequence[LedgerImage]) -> TestLedger:
    """Return the ledger of an experiment; if it is missing, as much as the log knows.

    Without a ledger, every present test image may have taken part in all comparisons in the log. Comparisons of earlier
    versions of the program had no level, so they spent nothing; the test images of their runs took part in them.

    images: the present test images.
    """
    ledger = read_test_ledger(experiment)
    if ledger is not None:
        return ledger
    compared = comparisons(log)
    levels = [level for decision in compared if (level := spent_level(decision)) is not None]
    tested = images if levels else _tested_images(experiment, compared)
    return TestLedger(LedgerImage(image.pixels, image.sha256, len(compared), min(1.0, sum(levels))) for image in tested)


def comparisons(log: Sequence[Decision]) -> list[Decision]:
    """Return the decisions that compared two models."""
    return [decision for decision in log if decision.facts.get("comparison")]


def _tested_images(experiment: Path, compared: Sequence[Decision]) -> Iterator[LedgerImage]:
    """Yield the test images of the runs that were compared, as far as the runs are still there."""
    run_ids = [run_id for decision in compared for run_id in (decision.champion, decision.challenger) if run_id]
    for run_id in dict.fromkeys(run_ids):
        run = StoredRun(RunFolder(experiment / run_id))
        if run.folder.dataset.is_file():
            with suppress(ArtefactError):  # a damaged run is no reason to end the night
                yield from identified(run, [image for image in run.images if image.split == "test"])


def spent_level(decision: Decision) -> float | None:
    """Return the level that a logged comparison spent, 0 for a promotion; None if it has none."""
    comparison = decision.facts.get("comparison")
    lifetime = comparison.get("lifetime") if isinstance(comparison, dict) else None
    level = lifetime.get("alpha") if isinstance(lifetime, dict) else None
    if not isinstance(level, int | float) or isinstance(level, bool):
        return None
    return 0.0 if decision.decision == "promoted" else float(level)


def identified(run: StoredRun, records: Sequence[Record]) -> list[LedgerImage]:
    """Return images of a run by the hashes of their pixels and files, in the same order, as a ledger knows them."""
    pixels = read_pixels(run.folder.pixels)
    return [LedgerImage(pixels.get(record.sha256, record.sha256), record.sha256) for record in records]


def fresh_start(log: Sequence[Decision]) -> Iterator[str]:
    """Yield a warning about earlier comparisons if none of them had a level: no ledger knows what they spent."""
    earlier = comparisons(log)
    if earlier and all(spent_level(one) is None for one in earlier):
        yield (
            f"{counted(len(earlier), 'earlier comparison')} of this experiment had no limit on the error rate of all"
            " nights: its count starts now; only new test images have decided nothing yet"
        )
