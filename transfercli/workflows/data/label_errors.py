"""The part of `data check` that needs a trained model: images whose labels the experiment's latest run doubts."""

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
from transfercli.workflows.data.image_features import Sight
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.structure import geometry_of


def mislabelled(
    report: Report, findings: Findings, config: ExperimentConfig, runs: Path, reporter: Reporter
) -> Mislabelled:
    """What the base of the experiment's latest completed run sees in the images, which are the rows of `report.images`.

    Where there is no such run, or it looks at images of another size, the reason is told instead.
    """
    try:
        run = StoredRun(find_run(config.name, runs), reporter)
        if why_not := _unlike(run, config):
            return Mislabelled(note=why_not)
        features_of = Sight(run)
    except ArtefactError as error:
        return Mislabelled(note=f"{error.message}; data check lists them once a run is complete")
    reporter.info(f"looking for mislabelled images with the features of {run.label}")
    images = split_of("", findings.usable, tuple(sorted({one.label for one in report.images})), findings.ingest)
    features = features_of.features(images)
    found = find_mislabelled(report.images, features, report.near, findings.listing.groups, reporter)
    return Mislabelled(found, run.label)


def _unlike(run: StoredRun, config: ExperimentConfig) -> str:
    """Why the run's base cannot look at the images as they were read for `config`."""
    was, now = (geometry_of(run.config), geometry_of(config))
    if was == now:
        return ""
    return f"{run.label} looks at images of {_shape(was)}, and the config reads {_shape(now)}: train again"


def _shape(geometry: Geometry) -> str:
    return f"{geometry.height}x{geometry.width} pixels ({geometry.resize})"
