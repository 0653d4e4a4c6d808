"""Workflow of `data diff`: compare the images of a config with those that a run recorded."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transfercli.config.types import MULTILABEL
from transfercli.data.dataset import Record
from transfercli.data.load import Examination
from transfercli.data.quality.diff import Difference, compare, compare_auxiliary
from transfercli.errors import UsageError
from transfercli.reporting import Reporter
from transfercli.workflows.data.check import examine
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import load_for_new_run


@dataclass(frozen=True)
class DiffRequest:
    """Arguments of `data diff`. run: RUN of the command line."""

    config: Path
    run: str
    runs: Path
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class DiffResult:
    """Changes of a data set since a run."""

    difference: Difference

    def as_json(self) -> dict[str, Any]:
        return self.difference.as_result()


def diff_data(request: DiffRequest, reporter: Reporter) -> DiffResult:
    """Compare the images of a config with those that a run recorded.

    Raises `UsageError` if only one of the two has several labels per image, and `DataError` if the images of the config
    cannot be listed. Other errors that a training would raise are reported as warnings.
    """
    run = StoredRun.find(request.run, request.runs, reporter)
    config = load_for_new_run(request.config, request.overrides, "finetune", request.runs, reporter).config
    refuse_numbers(run.config.task, "data diff")
    refuse_numbers(config.task, "data diff")
    experiment = Path(os.path.realpath(run.path)).parent
    if run.several != (config.task == MULTILABEL):
        kinds = {True: "several labels per image", False: "one class per image"}
        raise UsageError(
            f"{run.label} has {kinds[run.several]}, and {request.config} has {kinds[not run.several]}: these labels"
            " cannot be compared",
            "name a run of the same task",
        )
    examined = examine(config, experiment, reporter)
    if examined.findings is None:
        raise examined.refusals[0]
    for refusal in examined.refusals:
        reporter.warning(f"training would refuse this data: {refusal.message}")
    present = examined.dataset.auxiliary.records if examined.dataset else run.auxiliary  # unknown after an error
    difference = compare(run.images, _records(examined), several=run.several)
    return DiffResult(replace(difference, auxiliary=compare_auxiliary(run.auxiliary, present)))


def _records(examined: Examination) -> list[Record]:
    """Return a record per image; its split is "" if the images could not be assigned to splits."""
    if examined.dataset is not None:
        return list(examined.dataset.records)
    return [file.record("") for file in examined.findings.files] if examined.findings else []
