"""Label errors in `data check`, searched for with the features of the experiment's latest completed run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from transfercli.config.schema import ExperimentConfig
from transfercli.data.image import IGNORE, TRANSPARENT, Geometry
from transfercli.data.image_notes import CONVERTED, FEW_LEVELS, STRETCHED
from transfercli.data.label_errors import judged_images, judged_labels
from transfercli.data.label_sets import UNKNOWN
from transfercli.data.quality.check import CheckedImage, Pair, Report
from transfercli.data.quality.label_noise import LabelNoise, label_noise
from transfercli.data.quality.mislabelled import Mislabelled
from transfercli.data.validation import Findings, split_of
from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.runs.lookup import find_run
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun

SHARE = 0.05  # of the images, the most that are listed


def mislabelled(
    report: Report,
    findings: Findings,
    config: ExperimentConfig,
    runs: Path,
    reporter: Reporter,
    share: float = SHARE,
) -> Mislabelled:
    """Return the likely label errors among `report.images`, at most a share of them.

    If there is no completed run, or its images have another size or are read in another way, the result holds the
    reason instead.
    """
    try:
        run = StoredRun(find_run(config.name, runs), reporter)
        if mismatch := _mismatch(run, config, findings):
            return Mislabelled(note=mismatch)
        extractor = ImageFeatures(run)
    except ArtefactError as error:
        return Mislabelled(note=f"{error.message}; data check lists them once a run is complete")
    reporter.info(f"looking for mislabelled images with the features of {run.label}")
    images = split_of("", findings.usable, tuple(report.labels), findings)
    features = extractor.features(images)
    find = find_mislabelled_labels if report.several else find_mislabelled
    found = find(report.images, features, report.near, findings.listing.groups, reporter, share)
    return replace(found, run=run.label)


def find_mislabelled(
    images: Sequence[CheckedImage],
    features: np.ndarray,
    near: Iterable[Pair],
    groups: Mapping[str, str],
    reporter: Reporter,
    share: float = SHARE,
) -> Mislabelled:
    """Return the likely label errors by a cross-validated linear probe, without the name of a run.

    The probe is fitted twice, the second time with the weight of each image's label: its probability of being right.

    Args:
        images: the N usable images.
        features: float32 [N, d], of `images`.
        near: pairs of rows that are near duplicates.
        groups: path -> group, by `data.group`.
        share: of the images, the most that are listed.
    """
    from transfercli.transfer.probe.held_out import CrossValidatedProbe

    judged = judged_images(images, near, groups)
    if judged is None:
        return Mislabelled()
    probe = CrossValidatedProbe(ArrayRows(features[judged.rows]), judged.targets, judged.folds, reporter)
    first = label_noise(probe.log_probabilities(), judged.targets)
    noise = label_noise(probe.log_probabilities(1 - first.wrong), judged.targets)
    suspects, search = judged.suspects(noise, share)
    return Mislabelled(suspects, search=search)


def find_mislabelled_labels(
    images: Sequence[CheckedImage],
    features: np.ndarray,
    near: Iterable[Pair],
    groups: Mapping[str, str],
    reporter: Reporter,
    share: float = SHARE,
) -> Mislabelled:
    """Return the likely errors in each label of images that may have several, as `find_mislabelled`.

    Every label is a question of its own, answered by the same method; unknown labels take no part.
    """
    from transfercli.transfer.probe.held_out import CrossValidatedLabelProbe

    judged = judged_labels(images, near, groups)
    if judged is None:
        return Mislabelled()
    columns = judged.targets.T
    known = [np.flatnonzero(column != UNKNOWN) for column in columns]

    def noises(log_probabilities: np.ndarray) -> list[LabelNoise]:
        return [
            label_noise(log_probabilities[rows, number], column[rows])
            for number, (rows, column) in enumerate(zip(known, columns, strict=True))
        ]

    probe = CrossValidatedLabelProbe(ArrayRows(features), judged.targets, judged.folds, reporter)
    right = np.ones(judged.targets.shape)
    for number, (rows, noise) in enumerate(zip(known, noises(probe.log_probabilities()), strict=True)):
        right[rows, number] -= noise.wrong
    suspects, search = judged.suspects(noises(probe.log_probabilities(right)), known, share)
    return Mislabelled(suspects, search=search)


def _mismatch(run: StoredRun, config: ExperimentConfig, findings: Findings) -> str:
    """Return the difference between the images that the run learnt from and those that `config` reads, or "".

    A key on how files are read is a difference only if an image of the data is read otherwise because of it.
    """
    trained, current = geometry_of(run.config), geometry_of(config)
    if _shape(trained) != _shape(current):
        return f"{run.label} takes images of {_shape(trained)}, and the config reads {_shape(current)}: train again"
    notes = findings.note_counts
    for key, kinds in _CONCERNED.items():
        theirs, ours = getattr(trained, key), getattr(current, key)
        # Profiles that are ignored leave no note.
        concerned = sum(notes[kind] for kind in kinds) or (key == "profiles" and ours == IGNORE)
        if theirs != ours and concerned:
            return f"{run.label} was trained with data.{key}: {theirs}, and the config sets {ours}: train again"
    return ""


# Key of the section `data` -> notes on the images that are read otherwise because of it.
_CONCERNED = {"background": (TRANSPARENT,), "levels": (FEW_LEVELS, STRETCHED), "profiles": (CONVERTED,)}


def _shape(geometry: Geometry) -> str:
    return f"{geometry.height}x{geometry.width} pixels ({geometry.resize})"
