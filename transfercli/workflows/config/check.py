"""Workflows of `config validate`, `show` and `schema`: checks, resolved values and the JSON Schema of configs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transfercli.config.editor import is_schema
from transfercli.config.json_schema import json_schema
from transfercli.config.loader import config_error, dump, load, problems, resolve
from transfercli.config.schema import ExperimentConfig
from transfercli.data.sources.listing import splits_inside
from transfercli.errors import ConfigError, DataError
from transfercli.reporting import Reporter
from transfercli.workflows.config.init import check_new, write
from transfercli.workflows.result import ExternalFormat


@dataclass(frozen=True)
class ValidConfigs:
    """Config files without errors."""

    paths: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        return {"configs": [{"path": str(path), "ok": True} for path in self.paths]}


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


def validate_configs(paths: Sequence[Path], reporter: Reporter) -> ValidConfigs:
    """Check config files. Raises `ConfigError` with the errors of all files; files without errors are reported then."""
    errors = {path: problems(path) for path in paths}
    if any(errors.values()):
        for path in (path for path, file_problems in errors.items() if not file_problems):
            reporter.info(f"{path}: ok")
        raise config_error([problem for file_problems in errors.values() for problem in file_problems])
    for path in paths:
        _warn_of_training(path, reporter)
    return ValidConfigs(tuple(paths))


def _warn_of_training(path: Path, reporter: Reporter) -> None:
    """Warn of values that a training refuses, but that are no errors, because runs of earlier versions have them."""
    from transfercli.training.optim.schedules import check_warmup

    training = resolve(load(path, ()).config, "finetune").training
    try:
        check_warmup(training)
    except ConfigError as error:
        reporter.warning(f"{path}: {error.message}: pretrain and finetune refuse that; {error.hint}")


def show_config(
    path: Path, overrides: Sequence[str], command: Literal["finetune", "pretrain"], reporter: Reporter
) -> ResolvedConfig:
    """Resolve a config for `command`; report split fractions without effect, as the data set has these splits."""
    resolved = resolve(load(path, overrides).config, command)
    with suppress(DataError, OSError):  # the data need not be here to show a config
        for split in splits_inside(resolved.data):
            reporter.info(f"data.{split}: the fraction is not used, {resolved.data.train} has its own {split} images")
    return ResolvedConfig(resolved)


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
