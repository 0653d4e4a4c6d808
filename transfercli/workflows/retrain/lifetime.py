"""Limit of a night: what its decision may spend of the budget that all decisions on the same test images share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from transfercli.reporting import Reporter
from transfercli.runs.decisions import Decision
from transfercli.text import counted
from transfercli.workflows.retrain.ledger import fresh_start, promoted_runs

if TYPE_CHECKING:
    from transfercli.evaluation.statistics.alpha_spending import Evidence, NightLimit
    from transfercli.runs.test_ledger import LedgerImage
    from transfercli.workflows.retrain.audit import TestImages
    from transfercli.workflows.stored_run import StoredRun

LITTLE = 0.1  # of the budget: a warning if less is left


def spend(
    challenger: StoredRun, images: TestImages, evidence: Evidence | None, log: Sequence[Decision], reporter: Reporter
) -> NightLimit | None:
    """Return the limit of a night, and write into the ledger that its deciding images decide.

    The ledger is also written if every night counts alone: its images may never become audit images. It is written
    before an answer of a model to a test image is looked at: a process that is killed later has spent the
    level, and the same challenger, compared again, has the same level and spends no more.

    evidence: of the validation images; None if every night counts alone, which then has no limit.
    log: all earlier decisions.
    """
    from transfercli.evaluation.statistics.alpha_spending import NightLimit, budget_of, night_level

    rule = challenger.config.retrain.promote
    run_id, experiment = challenger.folder.run_id, challenger.folder.path.parent
    deciding, promoted = [images.known[row] for row in images.deciding], promoted_runs(log)
    audited = [images.known[row] for row in images.audit]

    def write(level: float) -> list[LedgerImage]:
        compared = [image.compared(run_id, level, promoted) for image in deciding]
        images.ledger.with_images(audited).with_images(compared).write(experiment)
        return compared

    if evidence is None or rule.lifetime_confidence is None:
        write(level=0.0)
        return None
    for text in fresh_start(log):
        reporter.warning(text)
    spent = sum(image.spent if image.run == run_id else image.total(promoted) for image in deciding) / len(deciding)
    level = max((image.level for image in deciding if image.run == run_id), default=None)
    if level is None:
        left = budget_of(rule.lifetime_confidence) - spent
        level = float(night_level(left, images.units, evidence.units, evidence.p_value, 1 - rule.confidence))
    compared = write(level)
    asked = sum(image.asked for image in compared) / len(compared)
    return NightLimit(rule.lifetime_confidence, level, asked, spent, len(deciding), evidence)


def budget_warnings(limit: NightLimit, promoted: bool) -> Iterator[str]:
    """Yield a warning if little of the budget is left: what is needed for a promotion, and what renews the budget."""
    from transfercli.evaluation.statistics.alpha_spending import (
        LARGEST_SHARE,
        comparisons_text,
        images_to_promote,
        images_to_renew,
    )

    left = limit.left_after(promoted)
    if left >= LITTLE * limit.budget:
        return
    text = (
        f"the {counted(limit.images, 'deciding test image')} have decided {comparisons_text(limit.asked)}:"
        f" {left / limit.budget:.1%} of the error rate of all nights (1 - lifetime_confidence) is left"
    )
    least = images_to_promote(LARGEST_SHARE * left) if left > 0 else limit.images + 1
    if least <= limit.images:
        text += (
            f"; a challenger must now be right on at least {least} more of them"
            f" ({least / limit.images:.1%}) and wrong on none besides"
        )
    else:
        text += "; no challenger can be promoted"
    renewing = images_to_renew(limit.spent_after(promoted), limit.images, limit.budget)
    yield f"{text}; {counted(renewing, 'new test image')} would renew half of it"
