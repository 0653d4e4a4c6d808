"""Networks whose features the heads of two runs are solved on again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.errors import TransferError
from transfercli.reporting import Reporter
from transfercli.workflows.data.drift import base_trained
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.initial_weights import needs_download
from transfercli.workflows.new_model import find_parent, new_classifier
from transfercli.workflows.recorded_weights import with_recorded_weights
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.models.classifier import Classifier


@dataclass(frozen=True)
class Networks:
    """Networks of the solved heads.

    kind: `shared`: both runs have the same base. `own`: their bases differ, and neither was trained, so each run's own
    base is used; the change of network is a part of the difference. `start`: a base was trained, so the weights from
    which the first run started are used, which have seen no image of either run; the training of the base is not a
    part. `first`: as `start`, but these weights cannot be had, and the first run's trained base is used.
    before, after: the network of a head before and after the change of network; one object unless the kind is `own`.
    """

    kind: str
    before: ImageFeatures
    after: ImageFeatures


class UntrainedRun(StoredRun):
    """A run with the weights from which its training started."""

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier before the first epoch. Raises `TransferError` if its initial weights cannot be had."""
        self._prepare_backend()
        runs = Path(os.path.realpath(self.path)).parent.parent
        parent = find_parent(self.config, runs, self.record.parent)
        config = with_recorded_weights(self.config, self.record, Reporter())
        return new_classifier(config, parent, self.labels, Reporter())[0]


def choose_networks(first: ImageFeatures, second: ImageFeatures, reporter: Reporter) -> Networks:
    """Return the networks for two runs, given the extractors of both."""
    if _space(first) == _space(second):
        return Networks("shared", second, second)
    runs = (first.run, second.run)
    if not any(base_trained(run.record.phases) for run in runs):
        return Networks("own", first, second)
    start = _start(first.run, reporter)
    return Networks("start", start, start) if start else Networks("first", first, first)


def _space(extractor: ImageFeatures) -> str:
    """Return the name of all that determines the features of an image, which are those of the base's output."""
    return extractor.prefix.output_space(geometry_of(extractor.run.config).name).name


def _start(run: StoredRun, reporter: Reporter) -> ImageFeatures | None:
    """Return the extractor of a run's initial base; None, with a warning, if its weights were random or are gone."""
    reason = "they were random" if run.config.model.weights == "none" else ""
    if not reason and needs_download(run.config):
        reason = "they would have to be downloaded"
    if not reason:
        try:
            return ImageFeatures(UntrainedRun(run.folder, reporter))
        except TransferError as error:
            reason = error.message
    reporter.warning(
        f"the weights from which {run.label} started cannot be used ({reason}): heads are solved on its trained base,"
        " which has learnt some of its images by heart, so the parts of images are less certain"
    )
    return None
