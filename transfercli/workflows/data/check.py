"""Workflow of `data check`: read a data set as a training would, and report all of its problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.config.schema import ExperimentConfig
from transfercli.data import image_notes
from transfercli.data.clusters import count_clusters
from transfercli.data.dataset import CacheCounts
from transfercli.data.file_formats import first_bytes
from transfercli.data.file_header_store import load_headers
from transfercli.data.load import Examination, examine_dataset, examine_part
from transfercli.data.quality import check
from transfercli.data.quality.file_headers import FileHeader, oddities
from transfercli.data.quality.group_suggestions import GroupSuggestion, suggest_groups
from transfercli.data.quality.jpeg_scans import missing_rows
from transfercli.data.quality.near_duplicates import FINGERPRINT, Fingerprints
from transfercli.data.quality.picture_quality import Measures, defects
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.thumbnail_store import load_fingerprints
from transfercli.data.transparent_images import transparency
from transfercli.data.validation import Findings, IngestedFile
from transfercli.errors import ArtefactError, DataError, UsageError, WeightsError
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.runs.output_paths import check_output_folder
from transfercli.shards import Shard
from transfercli.workflows.data.label_errors import SHARE, mislabelled
from transfercli.workflows.initial_weights import needs_download
from transfercli.workflows.new_model import find_parent, labels_for, with_file_head
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.train.job import load_for_new_run
from transfercli.workflows.train.training_data import data_request


@dataclass(frozen=True)
class CheckRequest:
    """Arguments of `data check`.

    Attributes:
        report: folder for the HTML page, its contact sheets and the table of problems, or None.
        mislabelled: also search for label errors if the experiment has a completed run and training could begin.
        share: of the images, the most that are listed as likely mislabelled.
        shard: the part of the images to read; None: all.
    """

    config: Path
    runs: Path
    overrides: tuple[str, ...] = ()
    report: Path | None = None
    mislabelled: bool = True
    share: float = SHARE
    shard: Shard | None = None


@dataclass(frozen=True)
class CheckResult:
    """Report on a data set. page: path of its HTML page, or None if no page was written."""

    report: check.Report
    page: Path | None = None

    @property
    def typical_size(self) -> list[int] | None:
        """[median width, median height] in pixels; None if no image is usable."""
        return check.sizes(self.report.images).get("median")

    def as_json(self) -> dict[str, Any]:
        return self.report.as_result() | ({"report": str(self.page)} if self.page else {})


@dataclass(frozen=True)
class ShardCheck:
    """Report on a shard of a data set, whose images, headers and fingerprints are in the cache now.

    Copies in other shards, splits and the verdict on the data follow from all images.
    """

    report: check.Report
    shard: Shard
    cache: CacheCounts

    def as_json(self) -> dict[str, Any]:
        report = self.report.as_result()
        names = ("problems", "problem_groups", "duplicates", "near_duplicates", "sizes", "refusals")
        return {
            "shard": str(self.shard),
            "images": report["images"],
            "classes": report["classes"],
            "splits": {},
            "usable": None if self.report.usable else False,
            **{name: report[name] for name in names},
            "cache": {"images": asdict(self.cache)},
        }


def check_data(request: CheckRequest, reporter: Reporter) -> CheckResult | ShardCheck:
    """Read the data of a config, or a shard of it, and report on it.

    Errors that a training would raise are part of the report. Raises `UsageError` if the report cannot be written to
    `request.report`.
    """
    if request.report is not None:
        check_output_folder(request.report, "--report")
    if request.report is not None and request.shard is not None:
        raise UsageError(
            "--report is a page on all images, and --shard reads a part of them",
            "leave --report out; the last data check, without --shard, writes the page",
        )
    config = load_for_new_run(request.config, request.overrides, "finetune", request.runs, reporter).config
    refuse_numbers(config.task, "data check")
    if request.shard is not None:
        return _check_shard(config, request.runs / config.name, request.shard, reporter)
    examined = examine(config, request.runs / config.name, reporter)
    findings = examined.findings
    usable = findings.usable if findings else []
    images = (
        findings.ingest.images([file.entry for file in usable], [file.redo for file in usable]) if findings else None
    )
    fingerprints = _fingerprints(images, findings, reporter)
    errors = [*examined.refusals, *_unknown_classes(config, request.runs, examined)]
    refusals = [(error.message, error.hint) for error in errors]
    files = findings.files if findings else []
    headers = _headers(findings, reporter)
    odd = _oddities(usable, headers, fingerprints["measures"])
    listing = findings.listing if findings else None
    labels = listing.classes | {*listing.counts()} if listing and listing.several else None
    report = check.build_report(files, _splits(examined), fingerprints, odd, refusals, labels)
    if findings:
        report = replace(
            report,
            transparency=transparency(findings),
            suggestion=_suggestion(report, findings, headers),
            split_groups=_split_groups(report, findings.listing.groups),
            corrections=findings.corrections,
        )
    if examined.dataset:
        report = replace(report, auxiliary=examined.dataset.auxiliary)
    if request.mislabelled and report.usable and findings:
        found = mislabelled(report, findings, config, request.runs, reporter, request.share)
        report = replace(report, mislabelled=found)
    if request.report is None:
        return CheckResult(report)
    from transfercli.evaluation.report.data_page import write_page

    return CheckResult(report, write_page(request.report, report, images, config.name, reporter))


def _check_shard(config: ExperimentConfig, experiment: Path, shard: Shard, reporter: Reporter) -> ShardCheck:
    """Read a shard, and report what its own images show."""
    _prepare(config)
    examined, auxiliary = examine_part(data_request(config, experiment), shard, reporter)
    findings = examined.findings
    usable = findings.usable if findings else []
    images = findings.ingest.images([f.entry for f in usable], [f.redo for f in usable]) if findings else None
    fingerprints = _fingerprints(images, findings, reporter)
    odd = _oddities(usable, _headers(findings, reporter), fingerprints["measures"])
    refusals = [(error.message, error.hint) for error in examined.refusals]
    listing = findings.listing if findings else None
    labels = listing.classes | {*listing.counts()} if listing and listing.several else None
    report = check.build_report(
        findings.files if findings else [], _splits(examined), fingerprints, odd, refusals, labels
    )
    lost = [check.Problem(file.name, file.entry.problem, used=False) for file in auxiliary if file.entry.problem]
    report = replace(report, problems=[*report.problems, *lost])
    return ShardCheck(report, shard, findings.ingest.counts if findings else CacheCounts())


def _split_groups(report: check.Report, groups: Mapping[str, str]) -> dict[str, int] | None:
    """Return the number of independent groups per split; None if no image has a group."""
    of_split = {
        split: count_clusters([groups.get(image.path, "") for image in report.images if image.split == split])
        for split in report.splits()
    }
    return {split: number for split, number in of_split.items() if number is not None} or None


def _suggestion(report: check.Report, findings: Findings, headers: Sequence[FileHeader]) -> GroupSuggestion | None:
    """Return a sign that images are in groups, if they are in none."""
    if findings.listing.groups:
        return None
    paths, labels = [image.path for image in report.images], [image.label for image in report.images]
    return suggest_groups(paths, labels, [header.moment for header in headers], report.groups(report.near))


def examine(config: ExperimentConfig, experiment: Path, reporter: Reporter) -> Examination:
    """Read all data that a training with this config would read, and collect the errors that it would raise."""
    _prepare(config)
    return examine_dataset(data_request(config, experiment), reporter)


def _prepare(config: ExperimentConfig) -> None:
    """Set the backend up before Keras is imported for its data sets."""
    if is_keras(config.data.train):
        from transfercli.training.backend import prepare

        prepare(config.compute, config.seed)


def _fingerprints(images: Rows | None, findings: Findings | None, reporter: Reporter) -> Fingerprints:
    """Return a fingerprint per usable image, for the search for near duplicates."""
    if images is None or findings is None:
        return np.zeros(0, FINGERPRINT)
    entries, geometry = [file.entry for file in findings.usable], findings.reading.geometry
    return load_fingerprints(images, entries, geometry, findings.ingest.cache_folder, reporter)


def _splits(examined: Examination) -> list[str]:
    """Return the split of every usable image; "" if the images could not be assigned to splits."""
    if examined.findings is None:
        return []
    if examined.dataset is None:
        return [""] * len(examined.findings.usable)
    return [record.split for record in examined.dataset.records if not record.problem]


def _headers(findings: Findings | None, reporter: Reporter) -> list[FileHeader]:
    """Return the header of every usable image."""
    if findings is None:
        return []
    hashes = [(file.file, file.entry.sha256) for file in findings.usable]
    return load_headers(hashes, findings.ingest.cache_folder, reporter)


def _oddities(usable: Sequence[IngestedFile], headers: Sequence[FileHeader], measures: Measures) -> list[list[str]]:
    """Return the oddities of every usable image: of its file, such as several frames, and of its picture."""
    found = []
    for file, header, measure, defect in zip(usable, headers, measures, defects(measures), strict=True):
        cut = []
        if header.format == "JPEG" and not header.damage and measure["grey_edge"]:
            missing = missing_rows(first_bytes(file.file, -1))
            cut = [f"cut: the image data of {missing:.0%} of its rows are missing"] if missing else []
        found.append([*oddities(file.file, header), *image_notes.oddities(file.entry.notes), *cut, *defect])
    return found


def _unknown_classes(config: ExperimentConfig, runs: Path, examined: Examination) -> list[DataError]:
    """Return the error that training would raise if a kept head has no output for some classes; [] if there is none."""
    if examined.findings is None:
        return []
    try:
        parent = find_parent(config, runs)
        if not needs_download(config):
            parent = with_file_head(parent, config, Reporter())
        labels_for(config, parent, examined.findings.labels, Reporter())
    except DataError as error:
        return [error]
    except (ArtefactError, WeightsError):  # the parent run or file is missing, which is not a problem of the data
        pass
    return []
