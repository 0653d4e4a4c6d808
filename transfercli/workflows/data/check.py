"""`data check`: read everything as a training would, and tell all that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.config.schema import ExperimentConfig
from transfercli.data.file_header_store import load_headers
from transfercli.data.load import Examination, examine_dataset
from transfercli.data.quality import check
from transfercli.data.quality.file_headers import oddities
from transfercli.data.quality.near_duplicates import FINGERPRINT, Fingerprints
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.thumbnail_store import load_fingerprints
from transfercli.data.validation import Findings
from transfercli.errors import ArtefactError, DataError
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.runs.output_paths import check_output_folder
from transfercli.workflows.data.label_errors import mislabelled
from transfercli.workflows.new_model import find_parent, labels_for
from transfercli.workflows.train.job import load_resolved
from transfercli.workflows.train.training_data import data_request


@dataclass(frozen=True)
class CheckRequest:
    """report: a folder for the page, its contact sheets and the table of problems, or None.

    mislabelled: look for likely mislabelled images, where the experiment has a completed run and training would begin.
    """

    config: Path
    runs: Path
    overrides: tuple[str, ...] = ()
    report: Path | None = None
    mislabelled: bool = True


@dataclass(frozen=True)
class CheckResult:
    """The report on a data set. page: the path of its HTML page, or None if none was written."""

    report: check.Report
    page: Path | None = None

    @property
    def typical_size(self) -> list[int] | None:
        """[median width, median height] in pixels; None without a usable image."""
        return check.sizes(self.report.images).get("median")

    def as_json(self) -> dict[str, Any]:
        return self.report.as_result() | ({"report": str(self.page)} if self.page else {})


def check_data(request: CheckRequest, reporter: Reporter) -> CheckResult:
    """Read the data of a config and report on it. The reasons why training would refuse it are in the report."""
    if request.report is not None:
        check_output_folder(request.report, "--report")
    config = load_resolved(request.config, request.overrides, "finetune", request.runs).config
    examined = examine(config, request.runs / config.name, reporter)
    findings = examined.findings
    usable = findings.usable if findings else []
    images = findings.ingest.images([o.entry for o in usable], [o.redo for o in usable]) if findings else None
    looks = _looks(images, findings, reporter)
    refusals = [
        (error.message, error.hint) for error in [*examined.refusals, *_head_refusals(config, request.runs, examined)]
    ]
    found = findings.files if findings else []
    report = check.build_report(found, _sides(examined), looks, _oddities(findings, reporter), refusals)
    if request.mislabelled and report.usable and findings:
        report = replace(report, mislabelled=mislabelled(report, findings, config, request.runs, reporter))
    if request.report is None:
        return CheckResult(report)
    from transfercli.evaluation.report.data_page import write_page

    return CheckResult(report, write_page(request.report, report, images, config.name, reporter))


def examine(config: ExperimentConfig, experiment: Path, reporter: Reporter) -> Examination:
    """Everything that a training with this config would read, whether it would go on or refuse."""
    if is_keras(config.data.train):
        from transfercli.training.backend import prepare

        prepare(config.compute, config.seed)  # before its data sets are imported from Keras
    return examine_dataset(data_request(config, experiment), reporter)


def _looks(images: Rows | None, findings: Findings | None, reporter: Reporter) -> Fingerprints:
    if images is None or findings is None:
        return np.zeros(0, FINGERPRINT)
    entries, geometry = [one.entry for one in findings.usable], findings.reading.geometry
    return load_fingerprints(images, entries, geometry, findings.ingest.cache_folder, reporter)


def _sides(examined: Examination) -> list[str]:
    if examined.findings is None:
        return []
    if examined.dataset is None:
        return [""] * len(examined.findings.usable)
    return [record.split for record in examined.dataset.records if not record.problem]


def _oddities(findings: Findings | None, reporter: Reporter) -> list[list[str]]:
    if findings is None:
        return []
    usable = findings.usable
    heads = load_headers([(one.file, one.entry.sha256) for one in usable], findings.ingest.cache_folder, reporter)
    return [oddities(one.file, head) for one, head in zip(usable, heads, strict=True)]


def _head_refusals(config: ExperimentConfig, runs: Path, examined: Examination) -> list[DataError]:
    """A kept head refuses classes that it does not know."""
    if examined.findings is None:
        return []
    try:
        labels_for(config, find_parent(config, runs), examined.findings.labels)
    except DataError as error:
        return [error]
    except ArtefactError:  # the parent run is not here; that says nothing about the data
        pass
    return []
