"""Result of `monitor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.text import counted
from transfercli.workflows.data.drift import DriftResult
from transfercli.workflows.monitor.expected_gates import by_label
from transfercli.workflows.monitor.recent_answers import RecentAnswers

if TYPE_CHECKING:
    from transfercli.evaluation.monitoring.answered_images import AnsweredImages
    from transfercli.evaluation.monitoring.expected_accuracy import Expectation, ExpectedValue

FEW_RECENT, FEW_HELD_OUT = 30, 50  # images, below which an expectation says little
WIDEST = 0.5  # interval of an accuracy that says something
# Rise of the share of one class among the answers, from which on intervals hold the truth too rarely:
# benchmarks/RESULTS.md, section "Expected accuracy".
RISE = 0.4
# True of every estimate without labels.
BLIND_SPOT = (
    "no estimate without labels sees images of classes that the model does not know: each counts as one of a class that"
    " it knows"
)

# Methods in words.
ESTIMATES = {
    "average_confidence": "average confidence",
    "thresholded_confidence": "average thresholded confidence",
    "thresholded_entropy": "average thresholded entropy",
    "calibrated_confidence": "calibrated confidence (CBPE)",
    "difference_of_confidences": "difference of confidences",
    "importance_weighting": "importance weighting",
    "label_shift": "shift of the class mix alone",
    "learnt_correction": "correction learnt from known shifts: the one that counts",
}


@dataclass(frozen=True)
class HeldOut:
    """Held-out images that recent ones are compared with. splits: their names in words; learnt: as `HeldOutImages`."""

    images: int
    splits: str
    learnt: bool


@dataclass(frozen=True)
class MonitorResult:
    """Result of `monitor`.

    Attributes:
        run: the run folder.
        labels: of its model.
        recent: the recent answers.
        drift: None if a log has no features.
        reference, asked: answers to the held-out images and to the recent ones.
        gates: each with its metric, op, bound, value, and if it is passed; gate_on: `point` or `lower`.
        report: the page, or None.
    """

    run: Path
    labels: Sequence[str]
    recent: RecentAnswers
    held_out: HeldOut
    drift: DriftResult | None
    expectation: Expectation
    reference: AnsweredImages
    asked: AnsweredImages
    gates: Sequence[Mapping[str, Any]] = ()
    gate_on: str = "point"
    report: Path | None = None

    @property
    def passed(self) -> bool:
        """True if every gate is passed."""
        return all(gate["passed"] for gate in self.gates)

    @property
    def compared(self) -> int:
        """Number of recent images that were compared: all, or a random sample of them."""
        return len(self.recent.outputs.probabilities)

    @property
    def reasons(self) -> list[str]:
        """Reasons not to trust the expectation, in words; [] if there is none."""
        found, expectation = [], self.expectation
        if self.compared < FEW_RECENT:
            found.append(f"there are only {counted(self.compared, 'recent image')}, and {FEW_RECENT} say a little")
        if self.held_out.images < FEW_HELD_OUT:
            found.append(f"the run has only {counted(self.held_out.images, 'held-out image')}")
        if self.held_out.learnt:
            found.append("the model or an ancestor learnt from held-out images, so its confidence on them is too good")
        if not self.recent.has_features:
            found.append("the log has no features, so the confidence is not corrected")
        found += self._one_answer()
        if expectation.beyond_known:
            found.append("the images are less like the held-out ones than under any known shift")
        interval = expectation.values["accuracy"].interval
        if interval is None or interval[1] - interval[0] > WIDEST:
            found.append("the interval of the accuracy is wide")
        return found

    def _one_answer(self) -> list[str]:
        """Return the reason of answers that are mostly one class; [] if they are not, or were so before."""
        if self.asked.several:
            return []
        now, before = (answers.answered.mean(axis=0) for answers in (self.asked, self.reference))
        most = int((now - before).argmax())
        if now[most] - before[most] < RISE:
            return []
        shares = f"{now[most]:.0%} of the answers are {self.labels[most]}, and {before[most]:.0%} of those to held-out"
        return [f"{shares} images: images of one class, and a model that answers the same for all, look alike"]

    @property
    def trusted(self) -> bool:
        """True if there is no reason against it."""
        return not self.reasons

    def named_values(self) -> dict[str, ExpectedValue]:
        """Return the expected values by metric, those of one class as `f1[LABEL]`."""
        return dict(by_label(self.expectation.values, self.labels))

    def as_json(self) -> dict[str, Any]:
        drift = None
        if self.drift:
            drift = self.drift.as_json()
            for key in ("run", "images", "max", "passed"):
                del drift[key]
        expectation = self.expectation
        return {
            "run": str(self.run),
            "source": self.recent.source,
            "images": self.recent.images,
            "compared": self.compared,
            "days": [dict(day) for day in self.recent.days],
            "held_out": {"images": self.held_out.images, "splits": self.held_out.splits},
            "drift": drift,
            "expected": {
                name: {
                    "value": value.value,
                    "interval": None if value.interval is None else list(value.interval),
                    "method": expectation.method,
                    "reference": value.reference,
                    "drop": value.drop,
                }
                for name, value in self.named_values().items()
            },
            "estimates": dict(expectation.estimates),
            "unlike": expectation.unlike,
            "effective_images": expectation.effective,
            "trusted": self.trusted,
            "reasons": self.reasons,
            "blind_spot": BLIND_SPOT,
            "gates": [dict(gate) for gate in self.gates],
            "gate_on": self.gate_on,
            "passed": self.passed,
            "report": None if self.report is None else str(self.report),
        }
