"""Decision on an adaptation: what was tried, by what it was judged, and what was chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from transfercli.reporting import Reporter

Case = Literal["same domain", "another domain", "related domains"]


@dataclass(frozen=True)
class Trial:
    """Head that was tried.

    accuracy, loss: cross-validated on labelled images of the target, and accuracy_error the standard error; None if
    there are none. information: mutual information of the target's unlabelled images and their predicted classes, in
    nats (`information` in `adapt.py`); None if there are no such images.
    """

    name: str
    accuracy: float | None = None
    accuracy_error: float | None = None
    loss: float | None = None
    information: float | None = None


@dataclass(frozen=True)
class Decision:
    """Adaptation that was chosen, and its reason.

    case: relation of the labelled images to the others. chosen: the name of one of `tried`; `none` is the head of the
    labelled images as they are. domain_area, domain_area_error: area under the ROC curve of a classifier of labelled
    against unlabelled images, out of fold, and its standard error; None if none was solved. text: one sentence.
    """

    case: Case
    chosen: str
    text: str
    tried: tuple[Trial, ...] = ()
    domain_area: float | None = None
    domain_area_error: float | None = None

    @property
    def aligned(self) -> bool:
        """The labelled images are aligned with those of another domain, none of which has a label."""
        return self.case == "another domain" and self.chosen != "none"

    def report(self, reporter: Reporter) -> None:
        """Report the decision, and warn if scores are of another domain than the target."""
        reporter.info(f"adaptation: {self.text}")
        if self.case == "another domain":
            reporter.warning(
                "no labelled image is of the target's domain: validation scores, the temperature and the confidence"
                " threshold are of the labelled images, and the accuracy on the target is likely lower; evaluate on"
                " labelled images of the target, or label a few of them and give the others as data.related"
            )

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "tried": [asdict(trial) for trial in self.tried]}
