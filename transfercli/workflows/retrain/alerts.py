"""Alerts of `retrain`: findings about the champion and the data that need a person, whatever was decided.

An alert is logged with the decision. It is reported every night as long as it holds, also if nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from transfercli.evaluation.statistics.shift_tests import SMALLEST_P_VALUE
from transfercli.runs.decisions import Decision
from transfercli.text import counted, first_of

if TYPE_CHECKING:
    from transfercli.config.schema import AlertConfig

ALERTS = "alerts"  # key of a decision's facts
_LISTED = 5
# Figures that two alerts of one kind share if they are the same alert, reported on two nights.
_IDENTITY: dict[str, tuple[str, ...]] = {
    "champion_fell": ("run",),
    "class_without_row": (),
    "images_lost": (),
    "labels_contradict": ("folder",),
    "drift": ("run",),
}
_OF_MODEL = ("champion_fell", "drift")  # these end with the champion that they are about
_MEASURED = ("champion_fell", "labels_contradict", "drift")  # these need the model, so an unchanged night repeats them


@dataclass(frozen=True)
class Alert:
    """One finding.

    Attributes:
        kind: a key of `retrain.alert`.
        message: the finding and its remedy in words, one line.
        figures: the values behind it.
        since: time of the decision that it was first reported with, UTC, ISO 8601.
        accepted: True if `retrain.alert.accepted_until` covers it: it stays in the log, but is not reported.
    """

    kind: str
    message: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    since: str = ""
    accepted: bool = False

    @property
    def text(self) -> str:
        """The message, with the day of the first report."""
        return f"{self.message} (alert {self.kind}, since {self.since[:10]})"

    def is_same_as(self, other: Alert) -> bool:
        """Return True if the other one is about the same thing, perhaps with other figures."""
        identity = _IDENTITY[self.kind]
        return self.kind == other.kind and all(self.figures.get(key) == other.figures.get(key) for key in identity)

    def as_json(self) -> dict[str, Any]:
        accepted = {"accepted": True} if self.accepted else {}
        return {"kind": self.kind, "message": self.message, "since": self.since, **accepted, **self.figures}


def logged_alerts(decision: Decision | None) -> list[Alert]:
    """Return the alerts of a logged decision; damaged ones, and those of a later version, are left out."""
    values = decision.facts.get(ALERTS) if decision else None
    return [alert for value in values if (alert := _parsed(value))] if isinstance(values, list) else []


def _parsed(value: Any) -> Alert | None:
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in ("kind", "message", "since")):
        return None
    if value["kind"] not in _IDENTITY:
        return None
    figures = {key: item for key, item in value.items() if key not in ("kind", "message", "since", "accepted")}
    return Alert(value["kind"], value["message"], figures, value["since"], value.get("accepted") is True)


def standing_alerts(last: Decision | None, champion: str | None) -> list[Alert]:
    """Return the measured alerts of the last decision that hold on a night with the same images.

    champion: EXPERIMENT/RUN_ID of the champion of now; an alert about another model is over.
    """
    return [
        alert
        for alert in logged_alerts(last)
        if alert.kind in _MEASURED and (alert.kind not in _OF_MODEL or alert.figures.get("run") == champion)
    ]


def held_alerts(last: Decision | None, champion: str, images: Set[tuple[str, str]]) -> list[Alert]:
    """Return the alerts about labels of the last decision that the champion of now cannot judge, but that hold.

    A champion that learnt from wrong labels does not contradict them any more. So the alert stays until half of the
    images that it lists are gone or have another label.

    champion: EXPERIMENT/RUN_ID; images: path and label of each image of now.
    """
    return [
        alert
        for alert in logged_alerts(last)
        if alert.kind == "labels_contradict"
        and alert.figures.get("run") != champion
        and isinstance(listed := alert.figures.get("listed"), list)
        and sum(_is_among(images, item) for item in listed) > len(listed) / 2
    ]


def _is_among(images: Set[tuple[str, str]], item: Any) -> bool:
    """Return True for the path and label of one of the images; False also for a damaged item of a log."""
    return isinstance(item, list) and all(isinstance(part, str) for part in item) and tuple(item) in images


def reported_alerts(decision: Decision) -> list[Alert]:
    """Return the alerts of a decision that are not accepted."""
    return [alert for alert in logged_alerts(decision) if not alert.accepted]


def dated_alerts(found: Iterable[Alert], rule: AlertConfig, earlier: Decision | None, time: str) -> list[Alert]:
    """Return the alerts that the config asks for, each with the time of its first report.

    earlier: the last decision; time: of this decision. `data.expect` accepts lost images, `accepted_until` all others.
    """
    known, accepted_until = logged_alerts(earlier), rule.accepted_until or ""
    wanted = [alert for alert in found if getattr(rule, alert.kind) is not False]
    since = [next((old.since for old in known if alert.is_same_as(old)), time) for alert in wanted]
    return [
        replace(alert, since=first, accepted=alert.kind != "images_lost" and first[:10] <= accepted_until)
        for alert, first in zip(wanted, since, strict=True)
    ]


def listed_contents(decision: Decision) -> frozenset[tuple[str, str]]:
    """Return SHA-256 and label of the images whose labels the alerts of a decision ask to check.

    A damaged list, and one of an alert without hashes, is left out.
    """
    found: set[tuple[str, str]] = set()
    for alert in logged_alerts(decision):
        listed, files = alert.figures.get("listed"), alert.figures.get("files")
        if alert.kind == "labels_contradict" and isinstance(listed, list) and isinstance(files, list):
            pairs = [
                (file, item[1])
                for file, item in zip(files, listed, strict=False)
                if isinstance(item, list) and len(item) == 2
            ]
            found |= {(file, label) for file, label in pairs if isinstance(file, str) and isinstance(label, str)}
    return frozenset(found)


# -- kinds that need no model


def unknown_classes_alert(champion: str, known: Sequence[str], images: Mapping[str, int]) -> Alert | None:
    """Return the alert about classes that have images and that the champion cannot answer.

    champion: EXPERIMENT/RUN_ID; known: its classes; images: class -> number of images.
    """
    unknown = sorted(label for label, count in images.items() if count and label not in known)
    if not unknown:
        return None
    total = sum(images[label] for label in unknown)
    names = first_of(unknown, _LISTED, written=repr)
    message = (
        f"the champion {champion} cannot answer {counted(len(unknown), 'class', 'classes')}, {names}:"
        f" it is wrong about each of {counted(total, 'image')} until a challenger with"
        f" {'this class' if len(unknown) == 1 else 'these classes'} is promoted"
    )
    return Alert("class_without_row", message, {"run": champion, "classes": unknown, "images": total})


def drift_alert(drift: Mapping[str, Any] | None, champion: str, level: float) -> Alert | None:
    """Return the alert about a drift that was measured.

    The smallest p-value, times the number of tests, is at most `level`, or as small as permutations can show.
    """
    if not drift or not drift["drifted"] or not drift["tests"]:
        return None
    p_values = [test["p_value"] for test in drift["tests"].values()]
    p_value = min(1.0, min(p_values) * len(p_values))
    if p_value > max(level, SMALLEST_P_VALUE * len(p_values)):
        return None
    message = (
        f"{counted(drift['images'], 'image')} added since the champion {champion} was trained are unlike its own"
        f" (score {drift['score']:.2f} of 1, p-value {p_value:.2g}): look at them, as with transfercli data diff"
    )
    figures = {"run": champion, "images": drift["images"], "score": drift["score"], "p_value": p_value}
    return Alert("drift", message, figures)
