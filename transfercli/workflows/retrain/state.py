"""State of a `retrain` command: its arguments, the champion, the current images and the log of decisions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.types import MULTILABEL
from transfercli.runs import decisions
from transfercli.runs.decisions import Decision
from transfercli.workflows.retrain.lost_images import (
    BEFORE,
    IMAGES,
    NUMBER,
    NUMBER_EXPECTED,
    Loss,
    expects_number,
    image_counts,
    number_in_all,
)
from transfercli.workflows.retrain.subject import WARNINGS_HASH, DeferredWarnings, Subject
from transfercli.workflows.retrain.watch import ChampionWatch
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.config.loader import LoadedConfig
    from transfercli.config.schema import ExperimentConfig
    from transfercli.data.dataset import Dataset


@dataclass(frozen=True)
class RetrainRequest:
    """Arguments of `retrain`.

    Attributes:
        wait: seconds to wait for the experiment's lock.
        summary: file to append the decision to, as Markdown, or None.
        hooks: True if the program in `retrain.on_decision` may be run.
    """

    config: Path
    runs: Path
    overrides: tuple[str, ...] = ()
    wait: float = 0.0
    summary: Path | None = None
    hooks: bool = False


@dataclass(frozen=True)
class RetrainState:
    """State of one `retrain` command while it holds the experiment's lock.

    Attributes:
        champion: None if the experiment has no champion.
        dataset: the current images.
        subject: hashes of the current images, config, code and weights.
        log: all earlier decisions, oldest first.
        warnings: warnings of the reading of the images, not shown yet.
        loss: images that are gone since an earlier night, if there are many and the config does not expect it.
        drift: of the images that were added since the champion; None if it is not needed, or if there are none.
        expected: of the champion's answers to recent images, by `add_expected`; None if it is not needed.
    """

    request: RetrainRequest
    loaded: LoadedConfig
    experiment: Path
    champion: StoredRun | None
    dataset: Dataset
    subject: Subject
    log: list[Decision]
    warnings: DeferredWarnings
    loss: Loss | None = None
    drift: dict[str, Any] | None = None
    expected: dict[str, Any] | None = None

    @property
    def config(self) -> ExperimentConfig:
        return self.loaded.config

    @property
    def several(self) -> bool:
        """True if an image may have several labels."""
        return self.config.task == MULTILABEL

    @property
    def needs_drift(self) -> bool:
        """True if a challenger is trained only after a drift of the images."""
        return self.config.retrain.when == "drifted" and self.champion is not None

    @property
    def needs_expected(self) -> bool:
        """True if a challenger is trained only once the champion's answers are expected to be too bad."""
        return self.config.retrain.when == "expected" and self.champion is not None

    @property
    def last_decision(self) -> Decision | None:
        """The last decision of a `retrain` without an error, or None."""
        return decisions.last_retrain_decision(self.log)

    @property
    def watch(self) -> ChampionWatch:
        """The watch over the champion, whose alerts stand beside the decision."""
        return ChampionWatch(self.champion, self.dataset, self.config.retrain.alert, self.log, self.loss, self.drift)

    def decision(self, word: str, reason: str, **facts: Any) -> Decision:
        """Return a decision that keeps the champion. word: its kind; facts: values for the log."""
        champion = self.champion.folder.run_id if self.champion else None
        measured: dict[str, Any] = {IMAGES: image_counts(self.dataset.records, several=self.several)}
        if self.several:
            measured[NUMBER] = number_in_all(self.dataset.records)
        if expects_number(self.config.data.expect):
            measured[NUMBER_EXPECTED] = True
        if self.loss:
            measured |= {"lost": self.loss.as_json(), BEFORE: self.loss.before}
        measured |= {"drift": self.drift} if self.drift else {}
        measured |= {"expected": self.expected} if self.expected else {}
        facts = {"subject": vars(self.subject), WARNINGS_HASH: self.warnings.hash, **measured, **facts}
        return Decision(word, reason, champion, fingerprint=self.subject.fingerprint, facts=facts)
