"""Corrections that a config names: the log of decisions, and what became of each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfercli.config.paths import absolute_path
from transfercli.config.schema import DataConfig
from transfercli.data.corrections.log import Decision, DecisionLog, read_log
from transfercli.data.sources.labels import normalised_label
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.text import counted, first_of

_LISTED = 5
# Reasons for which a decision does not hold.
CHANGED, LABELLED_SINCE, GONE, UNREADABLE = "changed since", "labelled otherwise since", "not in the data", "unreadable"


@dataclass(frozen=True)
class Corrections:
    """Log of decisions that a config names. name: of its file, as the config gives it."""

    name: str
    log: DecisionLog

    def of_images(self) -> dict[tuple[str, str], list[Decision]]:
        """Return the decisions on each image, by path and content, of images whose last one is not taken back."""
        decisions: defaultdict[tuple[str, str], list[Decision]] = defaultdict(list)
        for decision in self.log.decisions:
            decisions[decision.image].append(decision)
        return {image: found for image, found in decisions.items() if found[-1].new}

    def new_labels(self) -> set[str]:
        """Return the labels that images get, of images with one label each."""
        return {normalised_label(found[-1].new) for found in self.of_images().values()}


@dataclass(frozen=True)
class AppliedCorrections:
    """Corrections of a data set, as far as they were applied.

    Attributes:
        changed: number of images with another label than their source gives them.
        kept: number of images that were looked at, and whose label stays.
        unused: reason -> paths of the images whose decision does not hold.
        contents: SHA-256 and label of the images that a person looked at.
    """

    corrections: Corrections
    changed: int = 0
    kept: int = 0
    unused: Mapping[str, Sequence[str]] = field(default_factory=dict)
    contents: frozenset[tuple[str, str]] = frozenset()

    @property
    def name(self) -> str:
        """Name of the file of decisions."""
        return self.corrections.name

    def as_json(self) -> dict[str, Any]:
        return {
            "sha256": self.corrections.log.sha256,
            "decisions": len(self.corrections.log.decisions),  # rows: an undo is one, too
            "images": len(self.corrections.of_images()),
            "changed": self.changed,
            "kept": self.kept,
            "unused": {reason: len(paths) for reason, paths in self.unused.items()},
        }

    def report(self, reporter: Reporter) -> None:
        """Report the numbers of images; warn of decisions that do not hold any more."""
        name = self.name
        reporter.info(f"{name}: {counted(self.changed, 'label')} changed, {self.kept} looked at and kept")
        doubtful = {reason: paths for reason, paths in self.unused.items() if reason in (CHANGED, LABELLED_SINCE)}
        if doubtful:
            texts = [
                f"{counted(len(paths), 'image')} {reason}: {first_of(paths, _LISTED, written=repr)}"
                for reason, paths in doubtful.items()
            ]
            reporter.warning(f"{name}: decisions that are not used, for {'; '.join(texts)}")
        for reason in self.unused.keys() - doubtful.keys():
            reporter.debug(f"{name}: {counted(len(self.unused[reason]), 'decision')} on images {reason}")


def read_corrections(config: DataConfig, reporter: Reporter) -> Corrections | None:
    """Return the decisions that a config names; None if it names no file, or if there is none yet.

    A config may be written before the first review. Raises `DataError` if the file is damaged or its folder missing.
    """
    if config.corrections is None:
        return None
    path, given = absolute_path(config.corrections), Path(config.corrections)
    log = read_log(path)
    if log is None:
        if not path.parent.is_dir():
            raise DataError(
                f"data.corrections: {str(given)!r}: there is no folder for this file",
                "name a file in a folder that exists; the first decision of a label review writes it",
            )
        reporter.warning(f"data.corrections: {str(given)!r} does not exist yet, so no label is corrected")
        return None
    if log.torn:
        reporter.warning(f"{given.name}: the rest of a row that was cut short is left out; the next decision mends it")
    return Corrections(given.name, log)
