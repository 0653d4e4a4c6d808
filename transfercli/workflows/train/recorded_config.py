"""Configs of runs that are started again: the config of the command, compared with the one that the run recorded."""

from __future__ import annotations

from typing import Any, TypeVar

from transfercli.config.loader import dump, load
from transfercli.config.schema import ExperimentConfig, HeadConfig, Section
from transfercli.errors import ArtefactError, ConfigError
from transfercli.workflows.confidence import without_default_target
from transfercli.workflows.new_model import INHERITED_READING
from transfercli.workflows.stored_run import StoredRun

AnySection = TypeVar("AnySection", bound=Section)


def as_recorded(requested: ExperimentConfig, parent: str | None, run: StoredRun) -> ExperimentConfig:
    """Return the config with which a run goes on: `requested`, and from the run the keys that neither file sets.

    A run of an earlier version lacks the keys that are new since. They mean what they meant for that run, so they are
    a difference only if `requested` sets them to something else.

    parent: the run that the requested config starts from, or None.

    Raises `ConfigError` if the configs differ, `ArtefactError` if the run's config is damaged.
    """
    recorded = run.config
    try:
        written = load(run.folder.config).config  # with the keys of the file, and no others, as set
    except ConfigError as error:
        raise ArtefactError(f"the config of {run.label} is damaged: {error.message}", "restore the run") from error
    config = _completed(requested, recorded, written)
    if parent is not None:  # what was inherited then; an EXPERIMENT may name a newer parent by now
        unset = [key for key in INHERITED_READING if key not in requested.data.model_fields_set]
        inherited = {key: getattr(recorded.data, key) for key in unset}
        config = config.model_copy(update={"data": config.data.model_copy(update=inherited)})
    # Alerts and the patience with other processes concern no result, so they may change before a run goes on.
    retrain = config.retrain.model_copy(update={"alert": recorded.retrain.alert})
    compute = config.compute.model_copy(update={"peer_timeout": recorded.compute.peer_timeout})
    config = config.model_copy(update={"retrain": retrain, "compute": compute})
    config = config.model_copy(update={"model": config.model.model_copy(update={"head": _head(config, recorded)})})
    _check_equal(config, recorded, run.label)
    if "abstain" not in requested.evaluation.model_fields_set:
        config = config.model_copy(update={"evaluation": without_default_target(config.evaluation)})
    return config


def _head(requested: ExperimentConfig, recorded: ExperimentConfig) -> HeadConfig:
    """Return the requested head, in which the run's layers stand for `null` and `stages`, of which it has the names."""
    head, then = requested.model.head, recorded.model.head
    named = head.taps is None or (head.taps == "stages" and then.taps)
    return head.model_copy(
        update={
            "taps": then.taps if named else head.taps,
            "normalisation": head.normalisation or then.normalisation,
        }
    )


def _completed(requested: AnySection, recorded: AnySection, written: AnySection) -> AnySection:
    """Return `requested` with the recorded values of keys that neither `requested` nor `written` sets."""
    updates: dict[str, Any] = {}
    for name in type(requested).model_fields:
        ours, theirs, stored = (getattr(section, name) for section in (requested, recorded, written))
        if name not in requested.model_fields_set | written.model_fields_set:
            updates[name] = theirs
        else:
            updates[name] = _completed_value(ours, theirs, stored)
    return requested.model_copy(update=updates)


def _completed_value(ours: Any, theirs: Any, stored: Any) -> Any:
    if isinstance(ours, Section) and type(ours) is type(theirs) is type(stored):
        return _completed(ours, theirs, stored)
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs) == len(stored):
        return list(map(_completed_value, ours, theirs, stored))
    return ours


def _check_equal(config: ExperimentConfig, recorded: ExperimentConfig, label: str) -> None:
    ours, theirs = dump(config).splitlines(), dump(recorded).splitlines()
    if ours == theirs:
        return
    changed = [line for line in ours if line not in theirs] or [line for line in theirs if line not in ours]
    raise ConfigError(
        f"run {label} was started with another config; this config has: {'; '.join(map(str.strip, changed))}",
        "use the config the run was started with, or start a new run with another --run-id; for more epochs after its"
        f" end: --continue {label} --epochs N; to train its weights with another config, give the new run"
        f" model.weights: {{run: {label}}} and model.head.init: keep",
    )
