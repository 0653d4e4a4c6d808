"""Result of `retrain`: a decision about the champion of an experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfercli.errors import GateError
from transfercli.export.version_folders import Version
from transfercli.runs.decisions import Decision
from transfercli.text import counted
from transfercli.workflows.command_lines import command_line
from transfercli.workflows.retrain.alerts import reported_alerts

FORMER = "former"  # key of a decision's facts: the id of the champion that was replaced
MEASURED = ("gates", "test", "figures", "audit", "changes", "lost", "drift", "expected", "latency")


@dataclass(frozen=True)
class RetrainResult:
    """A decision, its reason, and the measurements behind it.

    Attributes:
        decision: unchanged, first, promoted, kept or rejected.
        champion: the run folder of the champion from now on, or None.
        challenger: the run folder of the run that was trained, or None.
        former: the run folder of the champion that was replaced; None unless the decision is promoted.
        comparison: of the two on the same test images; empty if they were not compared.
        gates: results of the challenger's gates.
        test: numbers of test images, used and left out.
        figures: the decisive metric of each model with its 95% interval, and the number of images.
        audit: the champion's number on the test images that never decide, as `Audit.as_json` returns it.
        changes: differences between the images and those of the champion.
        lost: images that are gone since an earlier night: names of classes, and numbers of images gone and before.
        drift: of the images that were added since the champion.
        expected: of the champion's answers to recent images without labels.
        latency: of both models, in milliseconds per image, and their ratio.
        alerts: findings that need a person, as `alerts.Alert.as_json` returns them.
        version: the champion's, in the folder of versions; None without `retrain.versions`.

    The nine before `alerts` are None if they were not measured.
    """

    decision: str
    reason: str
    champion: Path | None = None
    challenger: Path | None = None
    former: Path | None = None
    time: str = ""
    comparison: Mapping[str, Any] = field(default_factory=dict)
    gates: list[dict[str, Any]] | None = None
    test: dict[str, int] | None = None
    figures: dict[str, Any] | None = None
    audit: dict[str, Any] | None = None
    changes: dict[str, Any] | None = None
    lost: dict[str, Any] | None = None
    drift: dict[str, Any] | None = None
    expected: dict[str, Any] | None = None
    latency: dict[str, float] | None = None
    alerts: list[dict[str, Any]] = field(default_factory=list)
    version: Version | None = None

    @classmethod
    def of(cls, experiment: Path, decision: Decision) -> RetrainResult:
        """Return the result of a logged decision; runs become paths below `experiment`."""
        facts = decision.facts
        champion, challenger, former = (
            experiment / run_id if run_id else None
            for run_id in (decision.champion, decision.challenger, facts.get(FORMER))
        )
        return cls(
            decision.decision,
            decision.reason,
            champion,
            challenger,
            former,
            decision.time,
            facts.get("comparison", {}),
            **{name: facts[name] for name in MEASURED if name in facts},
            alerts=[alert.as_json() for alert in reported_alerts(decision)],
        )

    @property
    def runs(self) -> list[tuple[str, Path]]:
        """The runs that the decision is about, each with its role; `champion` is the champion after the decision."""
        roles = (("champion", self.champion), ("former champion", self.former), ("challenger", self.challenger))
        return [(role, run) for role, run in roles if run is not None]

    @property
    def compared_champion(self) -> str:
        """The role now of the champion that the challenger was compared with."""
        return "former champion" if self.decision == "promoted" else "champion"

    @property
    def figure_text(self) -> str:
        """The figures of both models in words, such as `accuracy of the champion 0.9605 (…), …`; "" without any."""
        figures = self.figures or {}
        roles = {"champion": self.compared_champion, "challenger": "challenger"}
        models = [f"of the {role} {_interval_text(figures[key])}" for key, role in roles.items() if figures.get(key)]
        if not models:
            return ""
        return f"{figures['metric']} {', '.join(models)}, on {counted(figures['images'], 'test image')}"

    def change_texts(self) -> Iterator[str]:
        """Yield the changes that are not empty in words: `3 images added`, `1 new class: 'boot'`."""
        for name, value in (self.changes or {}).items():
            if isinstance(value, int) and value:
                yield f"{counted(value, 'image')} {name}"
            elif value:
                kind = name.removesuffix("_classes")
                yield f"{counted(len(value), f'{kind} class', f'{kind} classes')}: {', '.join(map(repr, value))}"

    def as_json(self) -> dict[str, Any]:
        measured = {name: getattr(self, name) for name in MEASURED}
        return {
            "time": self.time,
            "decision": self.decision,
            "champion": str(self.champion) if self.champion else None,
            "challenger": str(self.challenger) if self.challenger else None,
            **({"former": str(self.former)} if self.former else {}),
            "comparison": self.comparison,
            "reason": self.reason,
            **{name: value for name, value in measured.items() if value is not None},
            "alerts": self.alerts,
            **({"version": self.version.as_json()} if self.version else {}),
        }


class Rejected(GateError):
    """Error for a challenger that was rejected; carries the normal result.

    Its message is the whole mail of a scheduled job: the runs, their figures, the changes, and the next command.
    """

    def __init__(self, result: RetrainResult) -> None:
        challenger, champion = (
            path and f"{path.parent.name}/{path.name}" for path in (result.challenger, result.champion)
        )
        stays = f"the champion {champion} stays" if champion else "there is still no champion"
        parts = [f"the challenger {challenger} is rejected, and {stays}: {result.reason}"]
        parts += [text for text in (result.figure_text, ", ".join(result.change_texts())) if text]
        command = ("runs", "compare", str(result.champion), str(result.challenger))
        shown = command if champion else ("runs", "show", str(result.challenger))
        super().__init__("; ".join(parts), command_line(*shown))
        self.result = result


def _interval_text(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "not defined"
    interval = figure["interval"]
    return f"{figure['value']:.4f}" + (f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else "")


class Alerted(GateError):
    """Error for a night with an alert if `retrain.alert.exit` is 5; carries the normal result."""

    def __init__(self, result: RetrainResult) -> None:
        kinds = ", ".join(alert["kind"] for alert in result.alerts)
        days = [alert["since"][:10] for alert in result.alerts if alert["kind"] != "images_lost"]
        hints = [f"retrain.alert.accepted_until: {max(days)} accepts what is known by that day"] if days else []
        hints += ["data.expect accepts lost images"] if len(days) < len(result.alerts) else []
        hints += [
            "retrain.alert.exit: 0 ends such a night with 0",
            "retrain.alert.KIND: false turns a kind of alert off",
        ]
        super().__init__(
            f"{counted(len(result.alerts), 'alert')} ({kinds}); the decision is {result.decision!r}", "; ".join(hints)
        )
        self.result = result
