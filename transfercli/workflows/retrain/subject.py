"""What a scheduled retraining is about: the images, the config, the code, and the weights it would start from.

And what is left of one that came to no end: a line in the log, or how to go on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import transfercli
from transfercli.config.loader import dump
from transfercli.config.schema import ExperimentConfig, FileWeights
from transfercli.errors import ArtefactError, Interrupted, TransferError, is_out_of_space
from transfercli.redaction import hide_paths
from transfercli.reporting import Forwarding, Reporter
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder, new_run_id
from transfercli.runs.record import status_of
from transfercli.workflows.new_model import find_parent
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.run_start import RESTART_HINT
from transfercli.workflows.train.training_data import fingerprint

if TYPE_CHECKING:
    from transfercli.config.loader import LoadedConfig
    from transfercli.data.dataset import Dataset

WARNED = "warned"  # of a decision's facts: the hash of what was warned of while its images were read
SHORT = 6  # hexadecimal digits that end the id of a challenger


@dataclass(frozen=True)
class Subject:
    """Hashes of what a decision follows from; the same subject would be decided in the same way again.

    data: contents, labels and sides of all images; config: the resolved one; code: this program's version;
    weights: of what the base starts from where nothing is warm-started.
    """

    data: str
    config: str
    code: str
    weights: str

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()


def subject_of(loaded: LoadedConfig, dataset: Dataset, runs: Path) -> Subject:
    text = hashlib.sha256(dump(loaded.config).encode()).hexdigest()
    return Subject(fingerprint(dataset), text, transfercli.__version__, _weights(loaded.config, runs))


def _weights(config: ExperimentConfig, runs: Path) -> str:
    from transfercli.io.checksum import file_sha256
    from transfercli.models.weights.files import verified_weight_file

    weights = config.model.weights
    if isinstance(weights, FileWeights):
        return weights.sha256 or file_sha256(verified_weight_file(weights))
    parent = find_parent(config, runs)
    return parent.run.label if parent.run else str(weights)


def challenger_id(
    experiment: Path, subject: Subject, start: Sequence[str], decided: list[Decision], reporter: Reporter
) -> str:
    """The id of the run for a subject and a start: of one that was begun and not decided about, or a new one.

    So a night that was killed is gone on with by the next, from its last whole epoch. A run that is damaged is set
    aside for good by a line in the log, as it would fail every night to come.
    """
    both = hashlib.sha256(" ".join([subject.fingerprint, *start]).encode()).hexdigest()
    short, over = both[:SHORT], {decision.challenger for decision in decided}
    begun = [path.name for path in sorted(experiment.glob(f"*-{short}")) if RunFolder(path).record.is_file()]
    left = [name for name in begun if name not in over]
    for name in reversed(left):
        damage = damage_of(RunFolder(experiment / name), reporter)
        if not damage:
            return name
        reporter.warning(f"{experiment.name}/{name} was begun and is damaged, so it is set aside: {damage}")
        decisions.append(experiment, _failed(experiment, f"set aside: {damage}", name))
    return unused_id(experiment, short, datetime.now(UTC))


def unused_id(experiment: Path, suffix: str, now: datetime) -> str:
    """A run id that ends with `suffix` and has no folder yet, of this second or of the next that is free.

    What was set aside a moment ago has the same suffix, and would have the same second.
    """
    while (experiment / (run_id := new_run_id(now, suffix))).exists():
        now += timedelta(seconds=1)
    return run_id


def damage_of(run: RunFolder, reporter: Reporter) -> str:
    """Why a run can neither go on nor be compared; "" where it can, or has not finished an epoch yet."""
    from transfercli.training.checkpoints import Checkpoints

    stored, checkpoints = StoredRun(run), Checkpoints(run.checkpoints)
    try:
        stored.loaded, stored.labels, stored.images  # noqa: B018 - each is read, and checked
        if status_of(run) == "completed":
            checkpoints.load("best")
        elif checkpoints.exists():
            checkpoints.newest(reporter)
    except ArtefactError as error:
        return hide_paths(error.message)
    return ""


class Withheld(Forwarding):
    """Passes on what is told while images are read, but for warnings: those of yesterday are no news tonight."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(reporter)
        self.texts: list[str] = []

    def warning(self, text: str) -> None:
        self.texts.append(text)

    @property
    def warned(self) -> str:
        """Of what all that was said."""
        return hashlib.sha256("\n".join(self.texts).encode("utf-8", "surrogateescape")).hexdigest()

    def release(self, decided: Sequence[Decision], *, anyway: bool) -> None:
        """Warn of it all, or for the log alone where it is what the last night warned of, unless `anyway`."""
        before = next((one.facts[WARNED] for one in reversed(decided) if WARNED in one.facts), None)
        tell = self.reporter.warning if anyway or before != self.warned else self.reporter.debug
        for text in self.texts:
            tell(text)


@contextmanager
def failure_logged(experiment: Path) -> Iterator[None]:
    """An error decides nothing, but the log says that there was a night; a stop on request is gone on with."""
    try:
        yield
    except Interrupted as stop:
        raise Interrupted(stop.signum, stop.message, RESTART_HINT) from None
    except Exception as error:
        with suppress(TransferError, OSError):
            decisions.append(experiment, _failed(experiment, _told(error)))
        raise


def _failed(experiment: Path, reason: str, challenger: str | None = None) -> Decision:
    champion = champions.champion_of(experiment)
    return Decision("failed", reason, champion.run_id if champion else None, challenger)


def _told(error: Exception) -> str:
    if isinstance(error, TransferError):
        return hide_paths(f"{error.kind}: {error.message}")
    return hide_paths(f"{'room' if is_out_of_space(error) else 'bug'}: {type(error).__name__}: {error}")
