"""Decisions of a review: where they are kept, what they say of each image now, and how one is added or taken back."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock

from transfercli.config.paths import absolute_path
from transfercli.data.corrections.log import MOST_TEXT, Decision, append_decisions, read_log
from transfercli.data.dataset import Record
from transfercli.data.label_sets import LabelSet
from transfercli.data.sources.labels import find_label, normalised_label
from transfercli.errors import BusyError, UsageError
from transfercli.runs.folder import RunFolder
from transfercli.text import shortened
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.review.doubts import Doubts
from transfercli.workflows.ui.stamps import Stamp, stamp_of


def log_of(folder: RunFolder) -> Path:
    """Return the file of an experiment's decisions: that of its config, else one beside its runs.

    Raises `UsageError` for a file of another kind that the first decision would make: the run may come from a stranger,
    and a shell reads some files of some names.
    """
    corrections = StoredRun(folder).config.data.corrections
    if corrections is None:
        return folder.path.parent / "corrections.csv"
    log = absolute_path(corrections)
    if log.suffix.lower() != ".csv" and not log.is_file():
        raise UsageError(
            f"data.corrections: {log.name!r} is not there, and a label review makes no file of this kind",
            "name a file that ends in .csv",
        )
    return log


def line_to_add(folder: RunFolder, log: Path) -> str:
    """Return the line that a config needs for these decisions to count; "" if it has it."""
    loaded = StoredRun(folder).loaded
    if loaded.config.data.corrections is not None:
        return ""
    return f"corrections: {json.dumps(os.path.relpath(log.absolute(), loaded.folder.absolute()))}"


@dataclass(frozen=True, slots=True)
class State:
    """State of one image.

    label: the present one; decided: by a person; who: the last reviewer, or "". decision: name of the last decision
    that stands, "" without one; a page that takes a decision back names the one that it means.
    """

    label: str
    decided: bool = False
    who: str = ""
    decision: str = ""


class Decisions:
    """Decisions in a file, read again when it changed, since other pages and processes append to it, too."""

    def __init__(self, log: Path) -> None:
        self.log, self._lock = log, Lock()
        self._stamp: Stamp | None = None
        self._of_image: Mapping[tuple[str, str], Sequence[Decision]] = {}

    def state(self, image: Record) -> State:
        """Return the state of an image: by the last decision on it, else as the data has it."""
        return _state(image, self._read().get((image.path, image.sha256), ()))

    def states(self, images: Sequence[Record]) -> list[State]:
        """Return the state of each image."""
        found = self._read()
        return [_state(image, found.get((image.path, image.sha256), ())) for image in images]

    def count(self, images: Collection[tuple[str, str]]) -> int:
        """Return the number of images, given by path and content, that were decided on."""
        return sum(bool(made[-1].new) and image in images for image, made in self._read().items())

    def decide(self, images: Sequence[Record], label: str, who: str) -> None:
        """Add a decision on images with the same pixels; on the disk when this returns."""
        now = _now()
        states = self.states(images)
        append_decisions(
            self.log,
            [
                Decision(image.path, image.sha256, state.label, label, who, now)
                for image, state in zip(images, states, strict=True)
            ],
        )

    def take_back(self, images: Sequence[Record], who: str, decision: str | None = None) -> bool:
        """Take the last decision on images with the same pixels back; return False if there is none.

        A further row takes all decisions on an image back, and those before the last one follow it once more, so that
        they count again. decision: name of the one that is meant, on the first image; None for any. Raises `BusyError`
        if it is not the last one any more.
        """
        now, found, rows = _now(), self._read(), list[Decision]()
        for number, image in enumerate(images):
            standing = _standing(found.get((image.path, image.sha256), ()))
            if not number and decision is not None and decision != _name(standing):
                raise BusyError("another page has decided on this image since", "look at it again: b shows it")
            if standing:
                rows.append(Decision(image.path, image.sha256, standing[-1].new, "", who, now))
                rows += standing[:-1]
        if rows:
            append_decisions(self.log, rows)
        return bool(rows)

    def _read(self) -> Mapping[tuple[str, str], Sequence[Decision]]:
        with self._lock:
            stamp = stamp_of(self.log, follow=True)
            if stamp != self._stamp or stamp is None:
                decisions = log.decisions if (log := read_log(self.log)) else ()
                grouped: defaultdict[tuple[str, str], list[Decision]] = defaultdict(list)
                for decision in decisions:
                    grouped[decision.image].append(decision)
                self._stamp, self._of_image = stamp, grouped
            return self._of_image


def _state(image: Record, made: Sequence[Decision]) -> State:
    if not made:
        return State(image.label)
    given, known = "", set[str]()  # given: by the data, as far as the rows show
    for decision in made:
        given = given if decision.old in known else decision.old
        known |= {decision.old, decision.new}
    if image.label not in known and image.label not in map(normalised_label, known):
        return State(image.label)  # the data was edited since, so the decisions do not hold
    if not (standing := _standing(made)):
        return State(given)
    return State(standing[-1].new, True, standing[-1].who, _name(standing))


def _standing(made: Sequence[Decision]) -> list[Decision]:
    """Return the decisions on an image since they were last taken back."""
    standing: list[Decision] = []
    for decision in made:
        standing = [*standing, decision] if decision.new else []
    return standing


def _name(standing: Sequence[Decision]) -> str:
    """Return a name of the last decision, which no other one shares, nor the same one after others."""
    texts = [text for decision in standing for text in (decision.new, decision.who, decision.when)]
    return sha256(json.dumps(texts).encode()).hexdigest()[:16] if standing else ""


def checked_label(given: object, doubts: Doubts, present: str) -> str:
    """Return the label, or the text of the label set, that a page sends. Raises `UsageError` if it is none.

    present: the label or the set that the image has. Labels that nobody has judged stay so unless the page adds them.
    """
    if not doubts.several:
        if isinstance(given, str) and (label := find_label(given, doubts.labels)) is not None:
            return label
        raise _unknown(given)
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise _unknown(given)
    found = [find_label(one, doubts.labels) for one in given]
    has = {label for label in found if label is not None}
    text = LabelSet.of(has, {*LabelSet.read(present).unknown} - has).text
    if None in found or len(text) > MOST_TEXT:
        raise _unknown(given)
    return text


def _unknown(given: object) -> UsageError:
    return UsageError(
        f"{shortened(str(given), 100)!r} is no label of the data",
        "choose one of the list; a new class needs its first images in the data, or its name in data.expect.classes",
    )


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
