"""Label errors in `data check`, searched for with the features of the experiment's latest completed run."""

from __future__ import annotations

from pathlib import Path

from transfercli.config.schema import ExperimentConfig
from transfercli.data.image import Geometry
from transfercli.data.label_errors import find_mislabelled
from transfercli.data.quality.check import Mislabelled, Report
from transfercli.data.validation import Findings, split_of
from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.runs.lookup import find_run
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun


def mislabelled(
    report: Report, findings: Findings, config: ExperimentConfig, runs: Path, reporter: Reporter
) -> Mislabelled:
    """Return the likely label errors among `report.images`.

    If there is no completed run, or its images have another size, the result holds the reason instead.
    """
    try:
        run = StoredRun(find_run(config.name, runs), reporter)
        if mismatch := _size_mismatch(run, config):
            return Mislabelled(note=mismatch)
        extractor = ImageFeatures(run)
    except ArtefactError as error:
        return Mislabelled(note=f"{error.message}; data check lists them once a run is complete")
    reporter.info(f"looking for mislabelled images with the features of {run.label}")
    images = split_of("", findings.usable, tuple(sorted({image.label for image in report.images})), findings.ingest)
    features = extractor.features(images)
    suspects = find_mislabelled(report.images, features, report.near, findings.listing.groups, reporter)
    return Mislabelled(suspects, run.label)


def _size_mismatch(run: StoredRun, config: ExperimentConfig) -> str:
    """Return the difference in image size or resizing between the run and `config`; "" if there is none.

    Other keys on how files are read change few images, and these little: features of them still tell the classes apart.
    """
    trained, current = _shape(geometry_of(run.config)), _shape(geometry_of(config))
    return (
        ""
        if trained == current
        else f"{run.label} takes images of {trained}, and the config reads {current}: train again"
    )


def _shape(geometry: Geometry) -> str:
    return f"{geometry.height}x{geometry.width} pixels ({geometry.resize})"
