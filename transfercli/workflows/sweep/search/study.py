"""Study of a sweep: what is searched, and the trials so far in a storage of Optuna."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from transfercli.config.differing_keys import AFTER_TRAINING
from transfercli.config.loader import LoadedConfig, load, read_document, read_once, with_defaults_of_task
from transfercli.config.schema import DataConfig, SweepConfig
from transfercli.config.types import VAL_LOSS
from transfercli.data.sources.listing import splits_inside
from transfercli.data.sources.task import with_task
from transfercli.errors import ConfigError, DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder, check_run_id
from transfercli.runs.listing import recorded
from transfercli.text import first_of
from transfercli.workflows.sweep.search.space import Space
from transfercli.workflows.sweep.search.storage import open_storage, storage_errors, warn_of_network_disk
from transfercli.workflows.sweep.trials import OtherImagesError

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

DEFAULT_TRIALS = 20
MAX_ID = 48  # characters of a sweep's id; those of its runs have up to 64
EXAMPLE = """add a section such as
sweep:
  trials: 20
  space:
    training.optimizer.learning_rate: {log: [1e-4, 1e-2]}
    model.head.hidden: {choice: [[], [256]]}
    model.head.dropout: {range: [0.0, 0.5]}"""
SUBJECT, FINGERPRINT = "subject", "images"  # attributes of a study
WITHOUT_EFFECT_IN_COMPUTE = ("threads", "cache_dir", "cache_max_gb")
PARTS = {
    "space": "its space",
    "metric": "its metric",
    "folds": "its number of folds",
    "config": "another key of its config",
}


@dataclass(frozen=True)
class Subject:
    """Subject of a sweep: trials can only be compared with those of the same subject.

    config: SHA-256 of all other keys that a training depends on.
    """

    space: str
    metric: str
    folds: int | None
    config: str

    @classmethod
    def of(cls, loaded: LoadedConfig) -> Subject:
        settings = loaded.config.sweep
        assert settings is not None, "the config has a sweep"
        rest = loaded.config.model_dump(exclude_defaults=True, exclude=set(AFTER_TRAINING))
        for key in WITHOUT_EFFECT_IN_COMPUTE:
            rest.get("compute", {}).pop(key, None)
        if not rest.get("compute", True):
            del rest["compute"]
        space = {key: values.model_dump(exclude_none=True) for key, values in sorted(settings.space.items())}
        return cls(json.dumps(space, sort_keys=True), settings.metric, settings.folds, _sha256(rest))

    def differences(self, other: Subject) -> list[str]:
        """Return the parts in which another subject differs, in words."""
        return [words for name, words in PARTS.items() if getattr(self, name) != getattr(other, name)]


def read_search(path: Path, overrides: Sequence[str]) -> tuple[LoadedConfig, SweepConfig, Space]:
    """Return a config, its section sweep and the space, of one reading of the file. Raises `ConfigError` as `load`.

    It is raised as well if there is no section sweep, or if the trials cannot be judged as it says.
    """
    document = read_once(path)
    loaded = _with_task(load(path, overrides, document))
    settings = settings_of(loaded)
    check_folds(loaded)
    return loaded, settings, Space.of(loaded.config, read_document(path, overrides, document))


def _with_task(loaded: LoadedConfig) -> LoadedConfig:
    """Return the config with its task, which decides the metric of a search that names none."""
    with loaded.placing():
        config, _ = with_task(loaded.config)
    return replace(loaded, config=with_defaults_of_task(config))


def settings_of(loaded: LoadedConfig) -> SweepConfig:
    """Return the section sweep of a config. Raises `ConfigError` if there is none."""
    if loaded.config.sweep is None:
        raise ConfigError(f"{loaded.path}: sweep: is missing, so that there is nothing to search", EXAMPLE)
    if loaded.config.training.seeds is not None:
        message = "training.seeds: cannot be combined with sweep, whose trials train with one seed"
        raise ConfigError(f"{loaded.where('training.seeds')}: {message}", "add --set training.seeds=null")
    return loaded.config.sweep


def check_folds(loaded: LoadedConfig) -> None:
    """Raise `ConfigError` if trials are to be judged by folds, and the config says in another way what validates."""
    settings, data = settings_of(loaded), loaded.config.data
    if settings.folds is None:
        return
    hint = "remove it, or leave out sweep.folds"
    for key in ("validation", "folds", "fold"):
        if getattr(data, key) not in (None, DataConfig.model_fields[key].default):
            message = f"data.{key}: cannot be combined with sweep.folds, of which each one validates once"
            raise ConfigError(f"{loaded.where(f'data.{key}')}: {message}", hint)
    inside: list[str] = []
    with suppress(DataError, OSError):  # of images that cannot be read, the trials say more
        config = with_task(loaded.config)[0]
        inside = splits_inside(config.data, config.task)
    if "validation" in inside:
        raise ConfigError(
            f"{loaded.where('sweep.folds')}: sweep.folds: {data.train!r} has validation images of its own, and"
            " the folds of the training images would validate",
            "set data.train to the training images alone, or leave out sweep.folds",
        )


def total_trials(settings: SweepConfig, space: Space) -> int:
    """Return the number of trials in all: fewer than the settings say if the space has no more combinations."""
    wanted = settings.trials
    if wanted is None:
        wanted = (space.size or 0) if settings.sampler == "grid" else DEFAULT_TRIALS
    return wanted if space.listed is None else min(wanted, len(space.listed))


def id_of(loaded: LoadedConfig, given: str | None) -> str:
    """Return the id of a sweep: as given, or that of the config. Raises `UsageError` if it cannot begin a run's id."""
    sweep_id = check_run_id(given or default_id(loaded))
    if len(sweep_id) > MAX_ID:
        allowed = f"use at most {MAX_ID} characters, as the ids of the trials' runs begin with it"
        raise UsageError(f"--run-id {sweep_id} is too long for a sweep: {len(sweep_id)} characters", allowed)
    return sweep_id


def default_id(loaded: LoadedConfig) -> str:
    """Return the id of a sweep that has none: the same config goes on with the same sweep.

    It does not depend on the number of trials and the budget, which may be raised, and on keys without effect.
    """
    settings = loaded.config.sweep
    assert settings is not None, "the config has a sweep"
    return f"sweep-{_sha256([asdict(Subject.of(loaded)), settings.sampler, settings.pruner])[:8]}"


def open_study(
    loaded: LoadedConfig, sweep_id: str, space: Space, folder: Path, address: str | None, reporter: Reporter
) -> optuna.Study:
    """Return the study of a sweep, which is created if it is new; report other sweeps of the same subject.

    Raises `ConfigError` if the storage holds another sweep of this experiment or id, and errors as `open_storage`.
    """
    storage = open_storage(address, folder)
    warn_of_network_disk(address, reporter)
    import optuna

    from transfercli.workflows.sweep.search.pruners import pruner_of
    from transfercli.workflows.sweep.search.sampler import TrialSampler

    settings = loaded.config.sweep
    assert settings is not None, "the config has a sweep"
    subject, own = Subject.of(loaded), space.own_values(loaded.config)
    stored = None if own is None else space.stored(own)
    with storage_errors(address), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check_other_sweeps(storage, loaded, sweep_id, subject, reporter)
        study = optuna.create_study(
            study_name=f"{loaded.config.name}/{sweep_id}",
            storage=storage,
            direction=direction(settings),
            sampler=TrialSampler(space, settings.sampler, loaded.config.seed, stored),
            pruner=pruner_of(settings),
            load_if_exists=True,
        )
        study.set_user_attr(SUBJECT, asdict(subject))
    return study


def direction(settings: SweepConfig) -> Literal["minimize", "maximize"]:
    return "minimize" if settings.metric == VAL_LOSS else "maximize"


def check_images(study: optuna.Study, run: RunFolder, space: Space) -> None:
    """Note the images of a sweep's first completed trial. Raises `OtherImagesError` if a later trial has others."""
    if _has_other_images(space):
        return
    data = recorded(run).get("data")
    found = data.get("fingerprint") if isinstance(data, dict) else None
    if found is None:
        return
    if (known := study.user_attrs.get(FINGERPRINT)) is None:
        study.set_user_attr(FINGERPRINT, found)
    elif known != found:
        raise OtherImagesError(run)


def images_of(study: optuna.Study, space: Space) -> str | None:
    """Return the fingerprint of the images that every further trial must have; None if it is not known, or differs."""
    return None if _has_other_images(space) else study.user_attrs.get(FINGERPRINT)


def _has_other_images(space: Space) -> bool:
    return any(key.startswith("data.") and key.split(".")[1] in ("unlabelled", "related") for key in space.keys)


def _check_other_sweeps(
    storage: BaseStorage, loaded: LoadedConfig, sweep_id: str, subject: Subject, reporter: Reporter
) -> None:
    """Raise `ConfigError` if the storage holds a sweep of this experiment that searches something else."""
    prefix = f"{loaded.config.name}/"
    for study in storage.get_all_studies():
        if not study.study_name.startswith(prefix):
            continue
        other = _subject(study.user_attrs.get(SUBJECT))
        name = study.study_name.removeprefix(prefix)
        differences = subject.differences(other) if other else []
        if not differences and name != sweep_id:
            reporter.info(f"the storage also holds the sweep {name} of this experiment, with the same space")
        if not differences:
            continue
        key = "sweep.space" if "space" in differences[0] else "sweep"
        mend = "name another storage with --storage, or another experiment in the config"
        if name == sweep_id:
            mend = "name a new sweep with --run-id NEW, or leave --run-id out"
        raise ConfigError(
            f"{key}: the storage already holds the sweep {name} of this experiment, and {_listed(differences)}"
            " is different",
            f"{mend}; trials can only be compared if all else is the same",
        )


def _listed(differences: list[str]) -> str:
    return first_of(differences, len(differences))


def _subject(value: Any) -> Subject | None:
    try:
        return Subject(**value)
    except TypeError:
        return None


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
