"""Record of a new model's weight file: its hash and commit in run.json, and the same file when a run goes on."""

from __future__ import annotations

from typing import Any

from transfercli.config.paths import absolute_path
from transfercli.config.schema import ExperimentConfig, FileWeights, HubWeights
from transfercli.errors import ArtefactError
from transfercli.models.weights.files import weight_path, weights_sha256
from transfercli.models.weights.hub import cached, fetched
from transfercli.reporting import Reporter
from transfercli.runs.record import RunRecord
from transfercli.workflows.initial_weights import needs_download, source_name, weight_source


def weight_facts(config: ExperimentConfig, reporter: Reporter) -> dict[str, Any] | None:
    """Return what run.json has on the weight file; None without one.

    A file of a repository has its commit as `revision`, and as `asked` the branch or tag that the config names.
    """
    source = weight_source(config)
    if source is None:
        return None
    digest = weights_sha256(weight_path(source, reporter))
    if isinstance(source, FileWeights):
        return {"file": absolute_path(source.path).name, "sha256": digest}
    file = fetched(source, reporter)
    return {
        "hub": file.repository,
        "revision": file.commit,
        "asked": file.asked,
        "file": file.file,
        "sha256": digest,
        "licence": file.licence,
    }


def with_recorded_weights(config: ExperimentConfig, record: RunRecord, reporter: Reporter) -> ExperimentConfig:
    """Return the config of a run that goes on, with the commit of its weights; warn if their branch or tag moved.

    Raises `ArtefactError` if the weight file is another one than the run started with, `WeightsError` if it is missing.
    """
    config = _with_recorded_revision(config, record, reporter)
    source, recorded = weight_source(config), record.weights.get("sha256")
    if source is not None and isinstance(recorded, str) and not needs_download(config):
        digest = weights_sha256(weight_path(source, reporter))
        if digest != recorded:
            raise ArtefactError(
                f"model.weights: {source_name(source)} has sha256 {digest}; the run started with {recorded[:64]}",
                "restore that file, or start a new run with another --run-id",
            )
    return config


def _with_recorded_revision(config: ExperimentConfig, record: RunRecord, reporter: Reporter) -> ExperimentConfig:
    source, commit = weight_source(config), record.weights.get("revision")
    if not isinstance(source, HubWeights) or not isinstance(commit, str):
        return config
    warn_if_moved(config, record, reporter)
    try:
        pinned = HubWeights.model_validate({**source.model_dump(), "revision": commit})
    except ValueError as error:
        raise ArtefactError(
            f"{record.path} is damaged: weights.revision is {commit[:80]!r}", "restore the run"
        ) from error
    return config.model_copy(update={"model": config.model.model_copy(update={"weights": pinned})})


def find_weight_file(config: ExperimentConfig, champion: RunRecord | None, reporter: Reporter) -> None:
    """Look for the weight file of a config before the images are read. Raises `WeightsError` if it is missing.

    champion: a run of the same experiment, or None; warns if the branch or tag of the weights moved since it started.
    """
    source = weight_source(config)
    if source is not None:
        weight_path(source, reporter)
        if champion:
            warn_if_moved(config, champion, reporter)


def warn_if_moved(config: ExperimentConfig, record: RunRecord, reporter: Reporter) -> None:
    """Warn if the branch or tag of a repository is another commit now than the one that a run recorded."""
    source, weights = weight_source(config), record.weights
    if not isinstance(source, HubWeights) or weights.get("hub") != source.hub:
        return
    file = cached(source)
    if file and weights.get("asked") == file.asked and weights.get("revision") != file.commit:
        reporter.warning(
            f"model.weights.revision: {source.hub}@{file.asked} is {file.commit[:12]} now and was"
            f" {str(weights.get('revision'))[:12]} when {record.path.parent.name} started; set model.weights.revision"
            " to a commit, so that it does not move"
        )
