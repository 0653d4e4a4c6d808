"""Workflows of `config validate`, `show` and `schema`: checks, resolved values and the JSON Schema of configs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transfercli.config.editor import is_schema
from transfercli.config.json_schema import json_schema
from transfercli.config.loader import config_error, dump, load, problems, resolve
from transfercli.config.paths import absolute_path
from transfercli.config.schema import ExperimentConfig, FileWeights, HubWeights
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.listing import splits_inside
from transfercli.data.sources.task import with_task
from transfercli.errors import ConfigError, DataError, TransferError
from transfercli.io.addresses import is_remote
from transfercli.models.weights.hub import cached
from transfercli.reporting import Reporter
from transfercli.runs.lookup import find_run
from transfercli.workflows.confidence import warn_of_abstention
from transfercli.workflows.config.init import check_new, write
from transfercli.workflows.initial_weights import base_of_file, header_error, needs_download, weight_source
from transfercli.workflows.result import ExternalFormat


@dataclass(frozen=True)
class ValidConfigs:
    """Config files without errors, each with what it names that is not there: images, weights or runs."""

    missing: dict[Path, list[str]]

    def as_json(self) -> dict[str, Any]:
        return {"configs": [{"path": str(path), "ok": True, "missing": keys} for path, keys in self.missing.items()]}


@dataclass(frozen=True)
class ResolvedConfig:
    """A config with all defaults, including those of the command."""

    config: ExperimentConfig

    def as_yaml(self) -> str:
        return dump(self.config)

    def as_json(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json")


@dataclass(frozen=True)
class ConfigSchema(ExternalFormat):
    """The JSON Schema of a config, draft 2020-12. There the keyword `format` must have a text value."""

    content: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return self.content


@dataclass(frozen=True)
class SchemaFile:
    """A file with the JSON Schema of a config."""

    path: Path

    def as_json(self) -> dict[str, Any]:
        return {"path": str(self.path)}


def validate_configs(paths: Sequence[Path], overrides: Sequence[str], runs: Path, reporter: Reporter) -> ValidConfigs:
    """Check config files, each with the same overrides.

    A config may be written before its images are there, or on another machine: what it names and is missing is a
    warning. Raises `ConfigError` with the errors of all files; files without errors are reported then.
    """
    errors = {path: problems(path, overrides) for path in paths}
    if any(errors.values()):
        for path in (path for path, file_problems in errors.items() if not file_problems):
            reporter.info(f"{path}: ok")
        raise config_error([problem for file_problems in errors.values() for problem in file_problems])
    missing: dict[Path, list[str]] = {}
    for path in paths:
        loaded = load(path, overrides)
        missing[path] = []
        for key, text in _missing(loaded.config, runs):
            missing[path].append(key)
            reporter.warning(f"{loaded.where(key.partition('[')[0])}: {key}: {text}")
        if error := header_error(loaded.config):
            where = loaded.where("model.weights")
            reporter.warning(f"{where}: {error.message}: pretrain and finetune refuse that; {error.hint}")
        _warn_of_training(path, loaded.config, reporter)
    return ValidConfigs(missing)


STOPS = "is not there (yet); a training would stop"


def _missing(config: ExperimentConfig, runs: Path) -> Iterator[tuple[str, str]]:
    """Yield the key and a warning for each path, run and repository that a config names and that is not here."""
    for key in ("train", "validation", "test"):
        source = getattr(config.data, key)
        if isinstance(source, str) and not is_keras(source) and not _may_be_there(source):
            yield f"data.{key}", f"{source} {STOPS}"
    auxiliary = [("data.unlabelled", config.data.unlabelled)] if config.data.unlabelled else []
    auxiliary += [(f"data.related[{row}]", source) for row, source in enumerate(config.data.related)]
    for key, source in auxiliary:
        if not _may_be_there(source):
            yield key, f"{source} {STOPS}"
    if config.data.corrections is not None and not (log := absolute_path(config.data.corrections)).exists():
        named = config.data.corrections
        late = f"{named} is not there (yet); no label would be corrected"
        yield "data.corrections", late if log.parent.is_dir() else f"the folder of {named} {STOPS}"
    weights, base = config.model.weights, config.model.base
    if isinstance(weights, FileWeights) and not absolute_path(weights.path).exists():
        yield "model.weights.path", f"{weights.path} {STOPS}"
    if isinstance(weights, HubWeights) and cached(weights) is None:
        yield "model.weights.hub", f"{weights.hub} is not in the cache of the Hub (yet); a training would fetch it"
    for key, reference in (("model.weights.run", weights), ("model.base.run", base)):
        run = getattr(reference, "run", None)
        if run is None:
            continue
        try:
            find_run(run, runs)
        except TransferError:
            yield key, f"the run {run} {STOPS}"


def _may_be_there(source: str) -> bool:
    """Return False for a path that does not exist; no server is asked, and braces or * may stand for any archives."""
    return is_remote(source) or not {"{", "*"}.isdisjoint(source) or absolute_path(source).exists()


def _warn_of_training(path: Path, config: ExperimentConfig, reporter: Reporter) -> None:
    """Warn of values that a training refuses or can never keep, but that are no errors.

    Runs of earlier versions may have them.
    """
    from transfercli.training.optim.schedules import check_warmup

    training = resolve(config, "finetune").training
    try:
        check_warmup(training)
    except ConfigError as error:
        reporter.warning(f"{path}: {error.message}: pretrain and finetune refuse that; {error.hint}")
    warn_of_abstention(config.evaluation, None, reporter)


def show_config(
    path: Path, overrides: Sequence[str], command: Literal["finetune", "pretrain"], reporter: Reporter
) -> ResolvedConfig:
    """Resolve a config for `command`; report split fractions without effect, as the data set has these splits."""
    loaded = load(path, overrides)
    with loaded.placing():
        config, notes = with_task(loaded.config)
    for note in notes:
        reporter.info(note)
    resolved = resolve(_with_base_of_file(config), command)
    with suppress(DataError, OSError):  # the data need not be here to show a config
        for split in splits_inside(resolved.data, resolved.task):
            reporter.info(f"data.{split}: the fraction is not used, {resolved.data.train} has its own {split} images")
    return ResolvedConfig(resolved)


def _with_base_of_file(config: ExperimentConfig) -> ExperimentConfig:
    """Return the config with the base of its weight file instead of `auto`, if that file is here."""
    source = weight_source(config)
    if config.model.base == "auto" and source is not None and not needs_download(config):
        with suppress(TransferError):
            base = base_of_file(source, Reporter())
            return config.model_copy(update={"model": config.model.model_copy(update={"base": base})})
    return config


def config_schema() -> ConfigSchema:
    """Return the JSON Schema for editors."""
    return ConfigSchema(json_schema())


def write_schema(output: Path) -> SchemaFile:
    """Write the JSON Schema to a new file, or over an earlier schema of this program.

    Raises `UsageError` if another file is there.
    """
    if not is_schema(output):
        check_new(output)
    write(output, json.dumps(json_schema(), indent=2) + "\n")
    return SchemaFile(output)
