"""Recent answers of a run: predicted now for a folder of images, or read from an answer log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.errors import ArtefactError, UsageError
from transfercli.evaluation.monitoring.log_folder import is_log, models_in, read_files, read_sketches
from transfercli.evaluation.monitoring.sketch import Sketch
from transfercli.evaluation.statistics.shift_tests import MAX_IMAGES, ModelOutputs
from transfercli.io.addresses import is_remote
from transfercli.text import counted
from transfercli.workflows.data.drift import load_recent
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.logged_model import facts_of
from transfercli.workflows.predict.predictors import find_model
from transfercli.workflows.stored_run import StoredRun

FOLDER, LOG = "images", "log"  # sources


@dataclass(frozen=True)
class Recent:
    """Place of recent images. folder: of images, or a log; model, since, until: of a log, as in `read_sketches`."""

    folder: Path
    model: str | None = None
    since: date | None = None
    until: date | None = None

    @property
    def source(self) -> str:
        """`LOG` or `FOLDER`."""
        return LOG if not is_remote(str(self.folder)) and is_log(self.folder) else FOLDER


@dataclass(frozen=True)
class RecentAnswers:
    """Outputs for recent images, which may be a sample.

    images: number of all images. days: of a log, one entry a day; empty for a folder.
    """

    source: str
    images: int
    outputs: ModelOutputs
    days: tuple[Mapping[str, Any], ...] = ()

    @property
    def has_features(self) -> bool:
        """True unless the log is of an artefact, whose answers have none."""
        return self.outputs.features.shape[1] > 0


def has_answers(run: StoredRun, recent: Recent) -> bool:
    """Return True if a log has answers of the run; also for a folder of images, which are predicted.

    Raises `ArtefactError` if the log is damaged.
    """
    if recent.source != LOG:
        return True
    own = {folder: facts for folder, facts in models_in(recent.folder).items() if facts.run == run.label}
    return any(len(file.sample) for folder, facts in own.items() for file in read_files(folder, facts).values())


def recent_answers(run: StoredRun, extractor: ImageFeatures, recent: Recent) -> RecentAnswers:
    """Return the answers to recent images, or a random sample of them.

    Raises `DataError` if the folder has no image, `ArtefactError` if the log is damaged or of another model,
    `UsageError` if options of a log are given for a folder of images, or several models fit.
    """
    if recent.source == LOG:
        return _logged(run, recent)
    if given := [name for name in ("model", "since", "until") if getattr(recent, name) is not None]:
        raise UsageError(
            f"--{given[0]} chooses among the answers of a log, and {recent.folder} is no log of predict or serve --log",
            "leave it out, or name a log",
        )
    split, images = load_recent(run, recent.folder)
    return RecentAnswers(FOLDER, images, extractor.outputs(split))


def _logged(run: StoredRun, recent: Recent) -> RecentAnswers:
    name = recent.model or _own_key(run, recent.folder) or run.label
    sketch = read_sketches(recent.folder, recent.since, recent.until, name)
    if sketch.model.run != run.label:
        raise ArtefactError(
            f"the answers of {recent.model} in {recent.folder} are those of {sketch.model.title},"
            f" and not of {run.label}",
            f"name the run: transfercli monitor {sketch.model.run} {recent.folder}"
            if sketch.model.run
            else "export the run again, so that its artefacts name it",
        )
    if sketch.model.kind == "run" and sketch.model.sha256 != _present_sha256(run):
        run.reporter.warning(
            f"{run.label} has changed since it gave the answers in {recent.folder}: its weights differ"
        )
    if not len(sketch.sample):
        raise ArtefactError(f"{recent.folder} has no answers of {run.label} in these days", "name other days")
    if sketch.features is None:
        run.reporter.warning(
            f"the log is of {sketch.model.title}, which gives no features: only the confidence can be compared"
        )
    return RecentAnswers(LOG, sketch.images, sampled_outputs(sketch), days_of(sketch))


def _own_key(run: StoredRun, log: Path) -> str | None:
    """Return the key of the run as it is now, if a log has other answers of it, too; else None.

    Others are those of its artefacts, and of the run with an earlier calibration.
    """
    named = [facts for facts in models_in(log).values() if facts.run == run.label]
    of_run = [facts for facts in named if facts.kind == "run"]
    own = [facts for facts in of_run if facts.sha256 == _present_sha256(run)] if len(named) > 1 else []
    if len(own) != 1:
        return None
    run.reporter.warning(
        f"{log} has answers of {counted(len(named), 'model')} of {run.label}; those of the run itself are compared"
    )
    return own[0].key


def _present_sha256(run: StoredRun) -> str:
    """Return the SHA-256 of the run's weights and calibration as they are now."""
    return facts_of(find_model(str(run.path), run.path.parent.parent, run.reporter)).sha256


def sampled_outputs(sketch: Sketch) -> ModelOutputs:
    """Return the outputs of the sampled images, each as often as it was asked.

    Copies of an image are a group; if there would be more than `MAX_IMAGES`, the counts are made smaller by one factor.
    """
    times = sketch.times.astype(np.float64)
    factor = min(1.0, MAX_IMAGES / max(1.0, float(times.sum())))
    whole = np.floor(times * factor + np.random.default_rng(0).random(len(times)) * (factor < 1)).astype(np.int64)
    rows = np.repeat(np.arange(len(times)), np.maximum(whole, 0 if whole.sum() else 1))
    features = sketch.sample.features[rows]
    groups = tuple(map(str, rows)) if len(np.unique(rows)) < len(rows) else ()
    probabilities = sketch.probabilities[rows].astype(np.float64)
    return ModelOutputs(features.astype(np.float64), probabilities, groups, groups)


def days_of(sketch: Sketch) -> tuple[Mapping[str, Any], ...]:
    """Return for each day its date, images, mean confidence, and the shares that were abstained from or strange."""
    return tuple(
        {
            "day": day.isoformat(),
            "images": counts.images,
            "failed": counts.failed,
            "mean_confidence": counts.mean_confidence(several=sketch.model.several),
            "abstained": counts.abstained / counts.images if counts.images else None,
            "strange": counts.strange / counts.images if counts.images else None,
        }
        for day, counts in sketch.days.items()
    )


def described(answers: RecentAnswers) -> str:
    """Return the number and the source of the images in words."""
    used = len(answers.outputs.probabilities)
    sample = "" if used >= answers.images else f", {used} of them a random sample that is compared"
    return f"{counted(answers.images, 'image')}{' of a log' * (answers.source == LOG)}{sample}"
