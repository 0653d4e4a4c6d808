"""Audit images: a share of the test images that never decides, and so gives the champion's honest number.

A champion was chosen because its number on the deciding images was high, so that number is too high on average. The
audit images choose nothing. An image is one of them by the hash of its group, or of its pixels, so it stays one as the
test set grows; an image that has decided never becomes one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.data.label_sets import labels_in
from transfercli.reporting import Reporter
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import test_ledger_file
from transfercli.runs.test_ledger import LedgerImage, TestLedger
from transfercli.text import counted
from transfercli.workflows.answers import evaluate_answers
from transfercli.workflows.retrain.ledger import comparisons, identified, ledger_of

if TYPE_CHECKING:
    from transfercli.config.schema import ExperimentConfig
    from transfercli.data.dataset import Record
    from transfercli.evaluation.scoring import Predicted
    from transfercli.evaluation.statistics.intervals import Interval
    from transfercli.workflows.stored_run import StoredRun

FEWEST_IMAGES = 50  # of a test set that is divided; fewer are needed for the decision


@dataclass(frozen=True)
class TestImages:
    """Honest test images of a challenger, divided.

    Attributes:
        records: all of them.
        deciding, audit: indices of those that decide, and of those that never do.
        ledger: of the experiment, before tonight.
        known: the entry of each in the ledger.
    """

    records: list[Record]
    deciding: list[int]
    audit: list[int]
    ledger: TestLedger
    known: list[LedgerImage]

    @property
    def units(self) -> int:
        """Number of independent groups of deciding images, or of deciding images."""
        groups = {self.records[row].group or row for row in self.deciding}
        return len(groups)


def divide_test_images(
    challenger: StoredRun, records: list[Record], log: Sequence[Decision], reporter: Reporter
) -> TestImages:
    """Divide the honest test images into deciding and audit images.

    Warns once if they are too few for an audit, or if images cannot be audited because they decided before there was a
    ledger.
    """
    share = challenger.config.retrain.audit
    images = identified(challenger, records)
    experiment = challenger.folder.path.parent
    ledger = ledger_of(experiment, log, images)
    known = [ledger.find(image.pixels, image.sha256) for image in images]
    audit = audit_rows(records, known, share, several=challenger.several)
    if share and len(records) < FEWEST_IMAGES and not any("audit" in decision.facts for decision in log):
        reporter.warning(
            f"all of {counted(len(records), 'test image')} decide: retrain.audit needs at least {FEWEST_IMAGES}; so the"
            " champion's number on them will be too high after some nights"
        )
    elif share and not test_ledger_file(experiment).exists() and (decided := sum(image.asked > 0 for image in known)):
        earlier = counted(len(comparisons(log)), "earlier comparison")
        reporter.warning(
            f"{decided} of {counted(len(records), 'test image')} took part in {earlier}: they"
            " go on deciding, and only other test images can be audit images (retrain.audit)"
        )
    return TestImages(records, [row for row in range(len(records)) if row not in audit], sorted(audit), ledger, known)


def audit_rows(
    records: Sequence[Record], images: Sequence[LedgerImage], share: float, *, several: bool = False
) -> set[int]:
    """Return the indices of the audit images; none of fewer than `FEWEST_IMAGES`.

    A group is divided as a whole, and a class or label of which no image would decide has no audit images.

    records, images: the test images and, in the same order, their entries in the ledger. several: an image may have
    several labels.
    """
    if len(records) < FEWEST_IMAGES:
        return set()
    units = [record.group or image.pixels for record, image in zip(records, images, strict=True)]
    decided = {unit for unit, image in zip(units, images, strict=True) if image.asked}
    audited = {unit for unit in units if unit not in decided and _fraction(unit) < share}
    of_classes: dict[str, set[str]] = {}
    for unit, record in zip(units, records, strict=True):
        for label in labels_in(record.label, several=several):
            of_classes.setdefault(label, set()).add(unit)
    for _, of_class in sorted(of_classes.items()):
        if of_class <= audited:
            audited -= of_class
    return {row for row, unit in enumerate(units) if unit in audited}


def _fraction(unit: str) -> float:
    """Return a number from 0 to 1 that is independent of the hash that chose the test images."""
    digest = hashlib.sha256(f"audit/{unit}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


@dataclass(frozen=True)
class Number:
    """The decisive metric of a model: on the audit images with its interval, and on the deciding images."""

    audit: float | None
    interval: Interval | None
    deciding: float | None


@dataclass(frozen=True)
class Audit:
    """The decisive metric of champion and challenger on the audit images.

    Attributes:
        champion: None without a champion.
    """

    images: int
    metric: str
    champion: Number | None
    challenger: Number | None

    def as_json(self, promoted: bool) -> dict[str, Any]:
        """Return the `audit` of a decision; `champion` is the champion after it."""
        champion = self.challenger if promoted else self.champion
        interval = champion and champion.interval
        return {
            "images": self.images,
            "metric": self.metric,
            "champion": champion and champion.audit,
            "interval": list(interval) if interval else None,
            "challenger": self.challenger and self.challenger.audit,
            "deciding": champion and champion.deciding,
        }


def audit_of(
    images: TestImages, champion: Predicted | None, challenger: Predicted, config: ExperimentConfig
) -> Audit | None:
    """Return the numbers of the models on the audit images; None if the config has no audit.

    champion, challenger: predictions of all test images, in the order of `images`.
    """
    if not config.retrain.audit:
        return None
    metric = config.retrain.promote.metric
    numbers = [
        _number(predictions, images, metric, config.seed) if predictions and images.audit else None
        for predictions in (champion, challenger)
    ]
    return Audit(len(images.audit), metric, *numbers)


def _number(predictions: Predicted, images: TestImages, metric: str, seed: int) -> Number:
    audited, deciding = (
        evaluate_answers(predictions.of(np.array(rows)), shown=(metric,), seed=seed)
        for rows in (images.audit, images.deciding)
    )
    return Number(audited.metrics[metric], audited.intervals.get(metric), deciding.metrics[metric])
