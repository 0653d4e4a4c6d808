"""What a scheduled retraining is about: the images, the config, the code, and the weights it would start from.

And what is left of one that came to no end: a line in the log, or how to go on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import transfercli
from transfercli.config.loader import dump
from transfercli.config.schema import ExperimentConfig, FileWeights
from transfercli.errors import Interrupted, TransferError, no_room
from transfercli.evaluation.privacy import hide_paths
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder, new_run_id
from transfercli.workflows.begin import AGAIN
from transfercli.workflows.data import fingerprint
from transfercli.workflows.model import find_source

if TYPE_CHECKING:
    from transfercli.config.loader import LoadedConfig
    from transfercli.data.dataset import Dataset

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
    return Subject(fingerprint(dataset), text, transfercli.__version__, _weights(loaded.config, loaded.folder, runs))


def _weights(config: ExperimentConfig, folder: Path, runs: Path) -> str:
    from transfercli.models.weight_files import file_sha256, verified

    weights = config.model.weights
    if isinstance(weights, FileWeights):
        return weights.sha256 or file_sha256(verified(weights, folder))
    source = find_source(config, runs)
    return source.run.label if source.run else str(weights)


def challenger_id(experiment: Path, subject: Subject, start: Sequence[str], decided: list[Decision]) -> str:
    """The id of the run for a subject and a start: of one that was begun and not decided about, or a new one.

    So a night that was killed is gone on with by the next, from its last whole epoch.
    """
    both = hashlib.sha256(" ".join([subject.fingerprint, *start]).encode()).hexdigest()
    short, over = both[:SHORT], {decision.challenger for decision in decided}
    begun = [path.name for path in sorted(experiment.glob(f"*-{short}")) if RunFolder(path).record.is_file()]
    left = [name for name in begun if name not in over]
    return left[-1] if left else new_run_id(suffix=short)


@contextmanager
def failure_logged(experiment: Path) -> Iterator[None]:
    """An error decides nothing, but the log says that there was a night; a stop on request is gone on with."""
    try:
        yield
    except Interrupted as stop:
        raise Interrupted(stop.signum, stop.message, AGAIN) from None
    except Exception as error:
        with suppress(TransferError, OSError):
            champion = champions.champion_of(experiment)
            decisions.append(experiment, Decision("failed", _told(error), champion.run_id if champion else None))
        raise


def _told(error: Exception) -> str:
    if isinstance(error, TransferError):
        return hide_paths(f"{error.kind}: {error.message}")
    return hide_paths(f"{'room' if no_room(error) else 'bug'}: {type(error).__name__}: {error}")
