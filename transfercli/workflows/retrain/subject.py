"""Subject of a `retrain` decision: hashes of the images, the config, the code and the initial weights.

Also the id by which a `retrain` resumes the run of an earlier one, and the log entry of one that failed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING

import transfercli
from transfercli.config.dump import dump_values
from transfercli.config.schema import (
    ComputeConfig,
    DataConfig,
    EarlyStoppingConfig,
    EvaluationConfig,
    ExperimentConfig,
    FileWeights,
    HeadConfig,
    ModelConfig,
    PhaseConfig,
    PromoteConfig,
    RetrainConfig,
    ScheduleConfig,
    Section,
    TrainingConfig,
    TransferConfig,
)
from transfercli.errors import ArtefactError, Interrupted, TransferError, is_out_of_space
from transfercli.redaction import hide_paths
from transfercli.reporting import Forwarding, Reporter
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder, new_run_id
from transfercli.runs.record import status_of
from transfercli.text import without_colours
from transfercli.workflows.initial_weights import weight_source
from transfercli.workflows.new_model import find_parent
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.run_start import RESTART_HINT
from transfercli.workflows.train.training_data import fingerprint

if TYPE_CHECKING:
    from transfercli.config.loader import LoadedConfig
    from transfercli.data.dataset import Dataset

WARNINGS_HASH = "warned"  # key of a decision's facts: the hash of the warnings of the reading of its images
SUFFIX_LENGTH = 6  # hexadecimal digits at the end of a challenger's id


@dataclass(frozen=True)
class Subject:
    """Hashes of everything that a decision depends on; the same subject leads to the same decision.

    Attributes:
        data: hash of the contents, labels and splits of all images.
        config: hash of the resolved config.
        code: version of this program.
        weights: hash or name of the weights that the base starts from without a champion.
    """

    data: str
    config: str
    code: str
    weights: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all attributes."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()


def subject_of(loaded: LoadedConfig, dataset: Dataset, runs: Path, reporter: Reporter) -> Subject:
    """Return the subject of a decision about these images. Raises `WeightsError` if a weight file is missing."""
    return Subject(
        fingerprint(dataset),
        config_hash(loaded.config),
        transfercli.__version__,
        _weights(loaded.config, runs, reporter),
    )


# Keys that are new since decisions were first logged, with their defaults: only other values count as a new config.
_LATER_KEYS: dict[tuple[str, ...], tuple[Section, tuple[str, ...]]] = {
    ("data",): (
        DataConfig(train="."),
        (
            "columns",
            "path_template",
            "label_separator",
            "empty_labels",
            "order",
            "expect",
            "background",
            "levels",
            "profiles",
            "max_megapixels",
            "unlabelled",
            "related",
            "corrections",
        ),
    ),
    (): (ExperimentConfig(name="x", data=DataConfig(train="."), model=ModelConfig(base="vgg16")), ("task",)),
    ("evaluation",): (EvaluationConfig(), ("thresholds", "threshold")),
    ("compute",): (ComputeConfig(), ("device", "peer_timeout")),
    ("training", "schedule"): (ScheduleConfig(), ("patience",)),
    ("training", "early_stopping"): (EarlyStoppingConfig(), ("min_delta",)),
    ("retrain",): (RetrainConfig(), ("audit", "monitor")),
    ("retrain", "promote"): (PromoteConfig(), ("lifetime_confidence",)),
    ("training",): (TrainingConfig(), ("refit", "seeds")),
    ("transfer",): (TransferConfig(), ("lora", "align")),
    ("model",): (ModelConfig(base="vgg16"), ("drop_path", "members")),
    ("model", "head"): (HeadConfig(), ("taps", "normalisation")),
    ("model", "weights"): (FileWeights(path="."), ("format",)),
    ("transfer", "phases"): (PhaseConfig(epochs=1), ("decay",)),
}


def config_hash(config: ExperimentConfig) -> str:
    """Return the SHA-256 of a resolved config; it stays the same if a later version only adds keys with defaults.

    Alerts, the folder of versions and the sweep are left out, since they decide nothing.
    """
    values = config.model_dump()
    for key in ("alert", "versions", "keep_versions"):
        del values["retrain"][key]
    del values["sweep"]
    for path, (defaults, keys) in _LATER_KEYS.items():
        section, default_values = reduce(getitem, path, values), defaults.model_dump()
        for entry in section if isinstance(section, list) else [section]:
            for key in keys if isinstance(entry, dict) else ():
                if key in entry and entry[key] == default_values[key]:
                    del entry[key]
    return hashlib.sha256(dump_values(values).encode()).hexdigest()


def _weights(config: ExperimentConfig, runs: Path, reporter: Reporter) -> str:
    """Return the SHA-256 of a weight file, the label of a parent run, `imagenet` or `none`."""
    from transfercli.io.checksum import file_sha256
    from transfercli.models.weights.files import weight_path

    if (source := weight_source(config)) is not None:
        return source.sha256 or file_sha256(weight_path(source, reporter))
    parent = find_parent(config, runs)
    return parent.run.label if parent.run else str(config.model.weights)


def challenger_id(
    experiment: Path, subject: Subject, start: Sequence[str], log: list[Decision], reporter: Reporter
) -> str:
    """Return the id of an undecided run of the same subject and start, else a new id.

    So the next `retrain` resumes the run of one that was killed, from its last complete epoch. A damaged run is set
    aside permanently, by a line in the log of decisions: otherwise it would make every later `retrain` fail.

    start: config overrides that set the initial weights; log: all earlier decisions.
    """
    digest = hashlib.sha256(" ".join([subject.fingerprint, *start]).encode()).hexdigest()
    suffix, decided = digest[:SUFFIX_LENGTH], {decision.challenger for decision in log}
    run_ids = [path.name for path in sorted(experiment.glob(f"*-{suffix}")) if RunFolder(path).record.is_file()]
    undecided = [run_id for run_id in run_ids if run_id not in decided]
    for run_id in reversed(undecided):
        damage = damage_of(RunFolder(experiment / run_id), reporter)
        if not damage:
            return run_id
        reporter.warning(f"{experiment.name}/{run_id} is damaged, so it is set aside: {damage}")
        decisions.append(experiment, _failed(experiment, f"set aside: {damage}", run_id))
    return unused_run_id(experiment, suffix, datetime.now(UTC))


def unused_run_id(experiment: Path, suffix: str, now: datetime) -> str:
    """Return a run id that ends with `suffix` and has no folder yet, with the time `now` or the next free second.

    A run that was set aside in the same second has the same suffix.
    """
    while (experiment / (run_id := new_run_id(now, suffix))).exists():
        now += timedelta(seconds=1)
    return run_id


def damage_of(run: RunFolder, reporter: Reporter) -> str:
    """Return the reason if a run is damaged and cannot be resumed or compared, else "".

    A run that has not finished an epoch yet is not damaged.
    """
    from transfercli.training.checkpoints import Checkpoints

    stored, checkpoints = StoredRun(run), Checkpoints(run.checkpoints)
    try:
        stored.loaded, stored.labels, stored.images  # noqa: B018 - reading checks each of them
        if status_of(run) == "completed":
            checkpoints.load("best")
        elif checkpoints.exists():
            checkpoints.newest(reporter)
    except ArtefactError as error:
        return hide_paths(error.message)
    return ""


class DeferredWarnings(Forwarding):
    """Reporter that holds warnings back until it is known if an earlier `retrain` showed the same ones."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(reporter)
        self.texts: list[str] = []

    def warning(self, text: str) -> None:
        self.texts.append(text)

    @property
    def hash(self) -> str:
        """SHA-256 of all warnings."""
        return hashlib.sha256("\n".join(self.texts).encode("utf-8", "surrogateescape")).hexdigest()

    def release(self, log: Sequence[Decision], *, show: bool) -> None:
        """Report all warnings: as `debug` lines if the last logged decision had the same ones and `show` is False."""
        earlier = next(
            (decision.facts[WARNINGS_HASH] for decision in reversed(log) if WARNINGS_HASH in decision.facts), None
        )
        report = self.reporter.warning if show or earlier != self.hash else self.reporter.debug
        for text in self.texts:
            report(text)


@contextmanager
def failure_logged(experiment: Path) -> Iterator[None]:
    """Log an error as the decision "failed", and raise it again.

    `Interrupted` is not logged; its hint is replaced by that of `retrain`, to start the same command again.
    """
    try:
        yield
    except Interrupted as stop:
        raise Interrupted(stop.signum, stop.message, RESTART_HINT) from None
    except Exception as error:
        with suppress(TransferError, OSError):
            decisions.append(experiment, _failed(experiment, reason_of(error)))
        raise


def _failed(experiment: Path, reason: str, challenger: str | None = None) -> Decision:
    """Return the decision "failed", which keeps the champion."""
    champion = champions.champion_of(experiment)
    return Decision("failed", reason, champion.run_id if champion else None, challenger)


def reason_of(error: Exception) -> str:
    """Return the kind of an error and its message, without absolute paths and colours."""
    if isinstance(error, TransferError):
        text = f"{error.kind}: {error.message}"
    else:
        text = f"{'room' if is_out_of_space(error) else 'bug'}: {type(error).__name__}: {error}"
    return hide_paths(without_colours(text))
