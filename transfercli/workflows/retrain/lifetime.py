"""Limit of a night: what its decision may spend of the budget that all decisions on the same test images share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.data.manifest import read_pixels
from transfercli.reporting import Reporter
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import test_ledger_file
from transfercli.runs.test_ledger import LedgerImage, TestLedger, read_test_ledger
from transfercli.text import counted

if TYPE_CHECKING:
    from transfercli.data.dataset import Record
    from transfercli.evaluation.statistics.alpha_spending import Evidence, NightLimit
    from transfercli.workflows.retrain.audit import TestImages
    from transfercli.workflows.stored_run import StoredRun

LITTLE = 0.1  # of the budget: a warning if less is left


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
    levels = [level for decision in log if (level := _spent_level(decision)) is not None]
    spent = sum(levels)
    known = (LedgerImage(image.pixels, image.sha256, len(levels), spent) for image in images)
    return TestLedger(known if levels else ())


def _spent_level(decision: Decision) -> float | None:
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


def spend(
    challenger: StoredRun, images: TestImages, evidence: Evidence, log: Sequence[Decision], reporter: Reporter
) -> NightLimit:
    """Return the limit of a night, and write into the ledger that its deciding images are asked.

    That is before an answer of a model to a test image is looked at: a process that is killed later has spent the
    level, and the same challenger, compared again, has the same level and spends no more.

    log: all earlier decisions. Raises `AssertionError` if every night counts alone.
    """
    from transfercli.evaluation.statistics.alpha_spending import NightLimit, night_level

    rule, run_id, experiment = (
        challenger.config.retrain.promote,
        challenger.folder.run_id,
        challenger.folder.path.parent,
    )
    assert rule.lifetime_confidence is not None
    for text in fresh_start(experiment, log):
        reporter.warning(text)
    deciding, promoted = [images.known[row] for row in images.deciding], promoted_runs(log)
    spent = sum(image.spent if image.run == run_id else image.total(promoted) for image in deciding) / len(deciding)
    level = max((image.level for image in deciding if image.run == run_id), default=None)
    if level is None:
        left = 1 - rule.lifetime_confidence - spent
        level = float(night_level(left, images.units, evidence.units, evidence.p_value, 1 - rule.confidence))
    compared = [image.compared(run_id, level, promoted) for image in deciding]
    ledger = ledger_of(experiment, log, images.known).with_images([images.known[row] for row in images.audit])
    ledger.with_images(compared).write(experiment)
    asked = sum(image.asked for image in compared) / len(compared)
    return NightLimit(rule.lifetime_confidence, level, asked, spent, len(deciding), evidence)


def budget_warnings(limit: NightLimit, promoted: bool) -> Iterator[str]:
    """Yield a warning if little of the budget is left: what is needed for a promotion, and what renews the budget."""
    from transfercli.evaluation.statistics.alpha_spending import LARGEST_SHARE, images_to_promote, images_to_renew

    left = limit.left_after(promoted)
    if left >= LITTLE * limit.budget:
        return
    text = (
        f"the {counted(limit.images, 'test image')} that decide took part in {limit.asked:.0f} comparisons:"
        f" {left / limit.budget:.1%} of the error rate of all nights (1 - lifetime_confidence) is left"
    )
    if left > 0:
        least = images_to_promote(LARGEST_SHARE * left)
        text += (
            f"; a challenger must now be right on at least {least} more of them"
            f" ({least / limit.images:.1%}) and wrong on none besides"
        )
    else:
        text += "; no challenger can be promoted"
    renewing = images_to_renew(limit.spent_after(promoted), limit.images, limit.budget)
    yield f"{text}; {counted(renewing, 'new test image')} would renew half of it"


def fresh_start(experiment: Path, log: Sequence[Decision]) -> Iterator[str]:
    """Yield a warning about comparisons of an earlier version of the program, which no ledger has."""
    earlier = [entry for entry in log if entry.facts.get("comparison")]
    if earlier and not test_ledger_file(experiment).exists() and all(_spent_level(one) is None for one in earlier):
        yield (
            f"{counted(len(earlier), 'earlier comparison')} of this experiment had no limit on the error rate of all"
            " nights: its count starts now; only new test images were never asked"
        )
