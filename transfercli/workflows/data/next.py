"""Workflow of `data next`: choose the unlabelled images to label, and forecast the accuracy that labels buy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transfercli.data.cache.images import cache_root
from transfercli.errors import ArtefactError, DataError, UsageError
from transfercli.export.artefact_files import EXPORTED
from transfercli.io.addresses import as_given
from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.workflows.answers import refuse_several
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.data.label_forecast import (
    LabelForecast,
    accuracy_in_words,
    gain_in_words,
    label_forecast,
    target_in_words,
)
from transfercli.workflows.data.labelled_images import read_labelled
from transfercli.workflows.data.next_choice import ChosenImage, choose, labelling_pool, method_for
from transfercli.workflows.data.next_folder import ChosenFiles, output_folder, write_folder
from transfercli.workflows.data.unlabelled_pool import UnlabelledPool, read_pool
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun


@dataclass(frozen=True)
class NextRequest:
    """Arguments of `data next`.

    Attributes:
        run: RUN of the command line.
        folder: folder of unlabelled images, at any depth.
        budget: number of images to choose.
        by: `auto`, or a name in `transfer.labelling.methods.METHODS`.
        target: accuracy whose number of labels is forecast, or None.
        out: folder to write, new or empty; None for a new one, `labelling/…` in the working folder.
        max_bad: largest fraction of unreadable images accepted; None for that of the run's config.
    """

    run: str
    folder: Path
    runs: Path
    budget: int
    by: str = "auto"
    target: float | None = None
    out: Path | None = None
    max_bad: float | None = None


@dataclass(frozen=True)
class NextResult:
    """Result of `data next`.

    Attributes:
        run: the run folder.
        folder: the folder of unlabelled images, as given.
        images: number of images in it.
        left_out: number of images that cannot be chosen, by reason.
        labels: number of images that have a label.
        budget: number of images asked for.
        by: method that chose them.
        chosen: images to label, the most useful first.
        forecast: of the accuracy.
        out: folder of the written files.
        linked: False if the images had to be copied, because links are not possible there.
    """

    run: Path
    folder: Path
    images: int
    left_out: dict[str, int]
    labels: int
    budget: int
    by: str
    chosen: tuple[ChosenImage, ...]
    forecast: LabelForecast
    out: Path
    linked: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "images": self.images,
            "left_out": self.left_out,
            "labels": self.labels,
            "budget": self.budget,
            "by": self.by,
            "chosen": [
                {
                    "path": os.path.join(as_given(self.folder), image.path),  # noqa: PTH118 - a text
                    "rank": image.rank,
                    "guess": image.guess,
                    "probability": image.probability,
                    "score": image.score,
                    "reason": image.reason,
                }
                for image in self.chosen
            ],
            "forecast": self.forecast.as_json(),
            "out": str(self.out),
            "links": self.linked,
        }


def data_next(request: NextRequest, reporter: Reporter) -> NextResult:
    """Choose images, forecast the accuracy, and write the files.

    Raises `UsageError` if the budget or the output folder cannot be used, `DataError` if no image can be chosen, and
    `ArtefactError` if RUN is no run.
    """
    if request.budget < 1:
        raise UsageError(f"--budget must be a number of images, 1 or more; received {request.budget}")
    refuse_artefact(Path(request.run))
    run = StoredRun.find(request.run, request.runs, reporter)
    refuse_numbers(run.config.task, "data next")
    refuse_several(run, "data next", "it chooses images and forecasts an accuracy by the probability of one class")
    out = output_folder(request.out, request.folder, run.folder.experiment)
    run.accept_bad(request.max_bad)
    pool = read_pool(run, request.folder, reporter)
    if not len(pool.split):
        known, total = pool.left_out["known"], counted(pool.images, "image")
        raise DataError(
            f"no image of {as_given(request.folder)!r} is left to label: {run.label} knows {known} of {total}",
            "name a folder with images that have no label yet",
        )
    extractor = ImageFeatures(run)
    labelled = read_labelled(run, extractor, reporter)
    unlabelled = labelling_pool(run, extractor.layers(pool.split), labelled)
    method = method_for(request.by, unlabelled)
    rows, chosen = choose(run, unlabelled, pool, request.budget, method, reporter)
    forecast = label_forecast(run, labelled, len(rows), request.target, reporter)
    if len(chosen) < request.budget:
        reporter.warning(f"only {counted(len(chosen), 'image')} can be chosen; --budget is {request.budget}")
    on_wait = partial(reporter.progress, "waiting for remote files", 0, 0, "")
    paths = [image.path for image in chosen]
    files = ChosenFiles.of(request.folder, paths, cache_root(run.config.compute), on_wait)
    linked = write_folder(out, chosen, files, pool.split.at(rows), page_facts(run, pool, method, forecast))
    if not linked and not files.addresses:
        reporter.warning(f"symbolic links are not possible in {out}: the images were copied")
    return NextResult(
        run=run.path,
        folder=request.folder,
        images=pool.images,
        left_out=pool.left_out,
        labels=int(labelled.counts.sum()),
        budget=request.budget,
        by=method,
        chosen=chosen,
        forecast=forecast,
        out=out,
        linked=linked,
    )


def refuse_artefact(path: Path) -> None:
    """Raise `ArtefactError` if a path is an exported model: it has neither layers to read nor labelled images."""
    exported = (path / EXPORTED).is_file() or (path / "saved_model.pb").is_file() or path.is_file()
    if exported and not (path / "run.json").exists():
        raise ArtefactError(
            f"{str(path)!r} is an exported model: data next needs a run, with its base and its labelled images",
            f"name the run that it was exported from; {EXPORTED} holds its name",
        )


def page_facts(run: StoredRun, pool: UnlabelledPool, method: str, forecast: LabelForecast) -> dict[str, Any]:
    """Return the facts of the page that are not about single images."""
    gain = forecast.gain
    return {
        "run": run.label,
        "images": pool.images,
        "left_out": pool.left_out,
        "method": method,
        "headline": gain_in_words(gain) if gain else "No forecast of the accuracy",
        "accuracy": accuracy_in_words(forecast),
        "gains": [gain_in_words(gain) for gain in forecast.gains],
        "level": round(100 * forecast.level),
        "target": target_in_words(forecast.target),
        "note": forecast.note,
    }
