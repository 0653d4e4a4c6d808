"""Result of the search for label errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transfercli.text import counted

PRESENT, ABSENT = "present", "absent"  # states of a label in an image that may have several
WEAK = 0.75  # expected accuracy below which a model is called too weak to judge labels


@dataclass(frozen=True, slots=True)
class Suspect:
    """Likely label error.

    Attributes:
        row: into `Report.images`.
        suggested: the most probable other class, and `confidence` its probability; `PRESENT` or `ABSENT` for a label.
        probability: that the label is wrong.
        label: the label in doubt if an image may have several, or "".
    """

    row: int
    suggested: str
    confidence: float
    probability: float
    label: str = ""

    @property
    def given(self) -> str:
        """The state of `label` that the data gives."""
        return ABSENT if self.suggested == PRESENT else PRESENT


@dataclass(frozen=True, slots=True)
class LabelSearch:
    """Search for label errors.

    Attributes:
        images: number of images whose label was checked.
        agreement: share of the labels that the model predicts for images that it was not fitted to.
        accuracy: share of the images whose true class it is expected to predict.
        more: number of images that are more likely wrong than right, beyond those that are listed.
    """

    images: int
    agreement: float
    accuracy: float
    more: int

    @property
    def weak(self) -> bool:
        """True if the model makes too many mistakes for its doubts to say much."""
        return self.accuracy < WEAK


@dataclass(frozen=True, slots=True)
class Mislabelled:
    """Likely label errors, most likely first.

    Attributes:
        run: name of the run whose features were used; "" if label errors were not searched for.
        note: the reason for that, or "".
        search: None if label errors were not searched for, or no class has two different images.
    """

    suspects: Sequence[Suspect] = ()
    run: str = ""
    note: str = ""
    search: LabelSearch | None = None

    @property
    def expected_false_alarms(self) -> float:
        """Expected number of listed images whose label is right."""
        return sum(1 - suspect.probability for suspect in self.suspects)

    def summary(self) -> list[str]:
        """Return sentences about the search; empty if there was none."""
        if self.search is None:
            return []
        agrees = f"the model agrees with {self.search.agreement:.0%} of the labels"
        if self.search.weak:
            agrees += f": too weak to judge{' most of them' if self.suspects else ''}"
        found = f"about {self.expected_false_alarms:.1f} of {len(self.suspects)} are expected to be false alarms"
        more = f"beyond the limit: {counted(self.search.more, 'image')}; --mislabelled-share 1 lists all"
        return [agrees, *([found] if self.suspects else []), *([more] if self.search.more else [])]

    def as_result(self) -> dict[str, Any] | None:
        """Return the facts of the search as JSON; None if there was none."""
        if self.search is None:
            return None
        return {
            "images": self.search.images,
            "listed": len(self.suspects),
            "expected_false_alarms": round(self.expected_false_alarms, 1),
            "more": self.search.more,
            "agreement": round(self.search.agreement, 4),
            "expected_accuracy": round(self.search.accuracy, 4),
            "weak": self.search.weak,
        }
