"""Earlier comparisons on the present test images, as the ledger of the experiment and its log know them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.data.manifest import read_pixels
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import test_ledger_file
from transfercli.runs.test_ledger import LedgerImage, TestLedger, read_test_ledger
from transfercli.text import counted

if TYPE_CHECKING:
    from transfercli.data.dataset import Record
    from transfercli.workflows.stored_run import StoredRun


def promoted_runs(log: Sequence[Decision]) -> frozenset[str]:
    """Return the ids of the challengers that a comparison made champion."""
    return frozenset(entry.challenger for entry in log if entry.decision == "promoted" and entry.challenger)


def ledger_of(experiment: Path, log: Sequence[Decision], images: Sequence[LedgerImage]) -> TestLedger:
    """Return the ledger of an experiment; if it is missing, as much as the log knows.

    Without a ledger, an image may have taken part in every comparison in the log that spent something. Comparisons of
    earlier versions of the program had no level: they count for nothing.

    images: the present test images.
    """
    ledger = read_test_ledger(experiment)
    if ledger is not None:
        return ledger
    levels = [level for decision in log if (level := spent_level(decision)) is not None]
    spent = sum(levels)
    known = (LedgerImage(image.pixels, image.sha256, len(levels), spent) for image in images)
    return TestLedger(known if levels else ())


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


def fresh_start(experiment: Path, log: Sequence[Decision]) -> Iterator[str]:
    """Yield a warning about comparisons of an earlier version of the program, which no ledger has."""
    earlier = [entry for entry in log if entry.facts.get("comparison")]
    if earlier and not test_ledger_file(experiment).exists() and all(spent_level(one) is None for one in earlier):
        yield (
            f"{counted(len(earlier), 'earlier comparison')} of this experiment had no limit on the error rate of all"
            " nights: its count starts now; only new test images were never asked"
        )
